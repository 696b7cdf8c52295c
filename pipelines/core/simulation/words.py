"""The words that the simulated shop's products are named with."""

from typing import Final, NamedTuple


class Department(NamedTuple):
    """A category: the nouns it sells with their usual price, what they are made of, and what is bought with them."""

    materials: tuple[str, ...]
    nouns: dict[str, float]
    goes_with: str


STYLES: Final = {
    "classic": ("Classic", "Heritage", "Vintage", "Traditional", "Oxford", "Timeless"),
    "modern": ("Modern", "Minimal", "Nordic", "Sleek", "Urban", "Studio"),
    "rustic": ("Rustic", "Farmhouse", "Handmade", "Country", "Cabin", "Weathered"),
    "active": ("Trail", "Sprint", "Summit", "Active", "Alpine", "Coastal"),
    "playful": ("Colourful", "Happy", "Retro", "Pop", "Confetti", "Neon"),
}
"""Style -> the adjectives that show it."""

LEVELS: Final = {"value": 0.55, "standard": 1.0, "premium": 2.1}
"""Price level -> factor on the usual price."""

DEPARTMENTS: Final = {
    "lighting": Department(
        ("Walnut", "Brass", "Linen", "Smoked Glass", "Concrete", "Rattan"),
        {"Desk Lamp": 49, "Floor Lamp": 119, "Pendant Light": 89, "Wall Light": 59, "Table Lamp": 64, "Lantern": 35},
        "furniture",
    ),
    "furniture": Department(
        ("Oak", "Walnut", "Birch", "Steel", "Leather", "Bamboo"),
        {"Armchair": 349, "Side Table": 129, "Bookshelf": 199, "Stool": 79, "Bench": 159, "Coat Rack": 69},
        "home textiles",
    ),
    "home textiles": Department(
        ("Linen", "Cotton", "Wool", "Velvet", "Organic Cotton", "Jute"),
        {"Throw Blanket": 59, "Cushion": 29, "Bed Set": 99, "Area Rug": 149, "Curtains": 69, "Bath Towel": 24},
        "lighting",
    ),
    "kitchen": Department(
        ("Ceramic", "Cast Iron", "Stoneware", "Stainless Steel", "Beech", "Copper"),
        {"Frying Pan": 54, "Mixing Bowl": 22, "Teapot": 34, "Coffee Grinder": 64, "Chopping Board": 32, "Mug Set": 28},
        "groceries",
    ),
    "groceries": Department(
        ("Organic", "Roasted", "Single-Origin", "Wildflower", "Sea Salt", "Smoked"),
        {"Coffee Beans": 14, "Olive Oil": 18, "Granola": 8, "Dark Chocolate": 6, "Honey": 9, "Herbal Tea": 7},
        "kitchen",
    ),
    "shoes": Department(
        ("Leather", "Canvas", "Mesh", "Suede", "Recycled", "Waterproof"),
        {"Running Shoes": 109, "Sneakers": 79, "Boots": 139, "Sandals": 49, "Loafers": 99, "Slippers": 35},
        "clothing",
    ),
    "clothing": Department(
        ("Cotton", "Merino", "Linen", "Denim", "Fleece", "Corduroy"),
        {"T-Shirt": 24, "Jacket": 129, "Sweater": 69, "Trousers": 74, "Shirt": 54, "Socks": 12},
        "shoes",
    ),
    "outdoor": Department(
        ("Ripstop", "Aluminium", "Titanium", "Insulated", "Waxed Canvas", "Ultralight"),
        {"Backpack": 99, "Tent": 249, "Sleeping Bag": 139, "Water Bottle": 25, "Camp Stove": 59, "Head Torch": 34},
        "fitness",
    ),
    "fitness": Department(
        ("Cork", "Rubber", "Neoprene", "Cast Iron", "Cotton", "Foam"),
        {"Yoga Mat": 39, "Dumbbells": 59, "Skipping Rope": 15, "Gym Bag": 45, "Foam Roller": 25, "Kettlebell": 42},
        "outdoor",
    ),
    "electronics": Department(
        ("Wireless", "Aluminium", "Noise-Cancelling", "Compact", "Solar", "Mechanical"),
        {"Headphones": 129, "Speaker": 89, "Keyboard": 99, "Power Bank": 39, "Alarm Clock": 35, "Webcam": 69},
        "stationery",
    ),
    "stationery": Department(
        ("Leather", "Recycled Paper", "Brass", "Linen-Bound", "Dotted", "Cherry Wood"),
        {"Notebook": 14, "Fountain Pen": 39, "Pencil Case": 16, "Desk Organiser": 29, "Planner": 22, "Art Print": 25},
        "electronics",
    ),
    "toys": Department(
        ("Wooden", "Felt", "Magnetic", "Cardboard", "Plush", "Tin"),
        {"Building Blocks": 34, "Puzzle": 19, "Train Set": 49, "Board Game": 32, "Kite": 24, "Stacking Tower": 21},
        "stationery",
    ),
}
"""Category -> what it sells."""
