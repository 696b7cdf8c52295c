"""The feature views: their change points, what is published of them, and the audit that counts them again."""
