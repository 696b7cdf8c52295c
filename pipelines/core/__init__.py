"""Pure logic: arrays, frames and expressions in, arrays, frames and expressions out. No I/O."""
