"""What each reason of quarantine means, and what a shop can do about it, for people who don't know the code."""

from typing import Final

from pipelines.core.lake.validation import BROKEN, LARGEST_QUANTITY

MEANINGS: Final = {
    BROKEN: (
        "The line has more or fewer values than the header.",
        "Look for unquoted delimiters or cut lines; let the exporting system quote its text.",
    ),
    "missing user_id": ("Nobody is named.", "Expected of guests; else ask why the shop's log loses the user."),
    "missing item_id": ("No product is named.", "Ask for the product's id in every event of the log."),
    "item_id is not in the catalogue": (
        "The product was in none of the catalogues fetched.",
        "Fetch the catalogue more often, or ask which products it leaves out.",
    ),
    "unknown event_type": (
        "The kind of event is none that RecoMart knows.",
        "Add the word to event_type.values of the source mapping.",
    ),
    "missing timestamp": ("The event has no time.", "Ask for the time in every event of the log."),
    "unparsable timestamp": (
        "The time can't be read by the rule of the mapping.",
        "Add the form to timestamp.format of the source mapping.",
    ),
    "timestamp in the future": (
        "The event is later than its file's arrival by more than an hour.",
        "Set the clock or the time zone of the machine that writes the log; check timestamp.timezone.",
    ),
    "timestamp before 1990": ("The event is older than online shops.", "Look for empty times written as 0 or 1970."),
    "quantity is not a whole number": ("The quantity is text or a fraction.", "Check the column and its decimal sign."),
    "quantity below 1": (
        "Nothing, or less than nothing, was moved.",
        "If these rows take purchases back, name them in cancellations of the mapping.",
    ),
    f"quantity above {LARGEST_QUANTITY}": ("More than a million pieces at once.", "Look for test orders."),
    "price is not a number": ("The price is text.", "Check the column, its currency signs and its decimal sign."),
    "negative price": ("The price is below 0.", "Look for corrections of accounts in the log; filter them out."),
    "price out of range": (
        "The price is above a thousand million.",
        "Look for prices in another unit, or test orders.",
    ),
    "undecodable bytes": (
        "An id holds bytes that the file's encoding can't have.",
        "Check format.encoding of the source mapping.",
    ),
}
"""Reason → what it means, what to do."""


def meaning(reason: str) -> tuple[str, str]:
    """What a reason means and what to do; any other than our own is that of a filter in the source mapping."""
    declared = ("A filter of the source mapping refuses such rows.", "Nothing, if that is right; else change filters.")
    return MEANINGS.get(reason, declared)
