"""What names and texts are made of. Plain ASCII without tabs, so that COPY needs no escapes."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words(
    "Ada Alan Amara Anders Ayesha Bela Bo Carmen Chen Dana Diego Edith Elif Emil Fatima Felix Grace Hana Hugo Ines Ivan"
    " Jamal Jana Joan Kai Kofi Lena Lin Luca Maya Mei Milan Nadia Nils Nora Omar Oskar Petra Priya Rania Ravi Rosa Sara"
    " Sven Tariq Tove Uma Victor Wanda Yara Yusuf Zoe"
)
LAST = _words(
    "Abe Almeida Andersson Bakker Banerjee Bauer Costa Diallo Dubois Eriksen Fischer Garcia Haddad Hansen Horvat Ito"
    " Jansen Jovanovic Kaya Keller Kim Kowalski Kumar Larsen Lindholm Lopez Mensah Meyer Moreau Nakamura Nguyen Novak"
    " Okafor Olsen Patel Pereira Petrov Ricci Rossi Sato Schmidt Silva Singh Tanaka Toth Tran Virtanen Wang Weber"
    " Yilmaz Zhang"
)
COUNTRIES = _words("DE FR ES IT PL NL SE NO DK FI PT CZ AT BE CH IE HU GR RO HR")
LOOKS = _words(
    "Amber Bright Brushed Classic Compact Crimson Curved Deep Double Folding Frosted Gentle Glossy Grand Hidden Ivory"
    " Light Little Long Matte Mellow Modern Narrow Neat Olive Open Oval Pale Plain Polished Portable Quiet Rapid Round"
    " Rugged Sandy Sharp Silent Simple Slender Smoky Soft Solid Spare Steady Striped Sturdy Tall Tidy Warm"
)
THINGS = _words(
    "Backpack Basket Bench Blanket Bottle Bowl Bracket Brush Camera Candle Chair Clock Cup Cushion Desk Drawer Drill"
    " Easel Fan Flask Frame Grinder Guitar Hammer Heater Helmet Jacket Jar Kettle Keyboard Knife Ladder Lamp Lantern"
    " Mirror Mug Notebook Pan Pillow Planter Radio Rug Scarf Shelf Speaker Stool Table Tent Torch Vase"
)
OPENINGS = (
    "Last week I bought the", "Nobody told me how good the", "I was not sure about the", "After three months the",
    "For years I wanted the", "My neighbour lent me the", "We gave each other the", "I found it by chance: the",
)  # fmt: skip
MIDDLES = (
    "and it has changed how we spend our evenings.", "turned out smaller than the picture shows, and better made.",
    "came in paper instead of plastic, which I liked very much.", "is heavier than it looks; take both hands.",
    "needs an hour of patience and one good screwdriver.", "does one thing and does it well.",
    "stood up to two children and a large dog.", "is louder than the one before, but twice as quick.",
)  # fmt: skip
ENDINGS = (
    "I would buy it again.", "The colour is not quite what I had hoped for.", "Delivery took four days.",
    "Ask me again in a year.", "My sister has ordered one too.", "For the price there is nothing better.",
    "I sent back the first one, the second is perfect.", "Keep the box: it is worth using for something else.",
)  # fmt: skip
STATUSES = ("placed", "paid", "shipped", "delivered", "delivered", "delivered", "returned", "cancelled")
