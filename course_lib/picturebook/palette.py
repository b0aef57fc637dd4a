"""The paint box: every colour in the picture book and how the four lights change it."""

Colour = tuple[int, int, int]

COLOUR_RGB: dict[str, Colour] = {
    "red": (214, 48, 46),
    "orange": (244, 134, 36),
    "yellow": (253, 214, 62),
    "green": (52, 162, 82),
    "blue": (48, 104, 220),
    "purple": (140, 78, 194),
    "pink": (246, 132, 184),
    "white": (246, 244, 240),
}

# The light on the things: a mild tint, so that the eight colours stay apart at every hour.
LIGHT: dict[str, Colour] = {
    "dawn": (255, 240, 246), "day": (255, 255, 255), "sunset": (255, 234, 214), "night": (212, 212, 238)}

# The sky from the top to the horizon.
SKY: dict[str, tuple[Colour, ...]] = {
    "dawn": ((132, 146, 206), (204, 176, 216), (250, 204, 206), (255, 232, 204)),
    "day": ((84, 160, 226), (132, 194, 240), (184, 222, 246), (226, 242, 248)),
    "sunset": ((84, 62, 132), (186, 84, 124), (246, 132, 84), (255, 198, 104)),
    "night": ((14, 18, 52), (24, 32, 80), (42, 52, 112), (70, 78, 140)),
}
# What rain and snow clouds turn the sky towards, and how far.
OVERCAST: dict[str, Colour] = {
    "dawn": (176, 166, 186), "day": (150, 166, 182), "sunset": (168, 118, 116), "night": (36, 42, 70)}
CLOUD: dict[str, Colour] = {
    "dawn": (255, 236, 236), "day": (255, 255, 255), "sunset": (255, 190, 150), "night": (92, 102, 156)}
RAIN_CLOUD: dict[str, Colour] = {
    "dawn": (134, 126, 154), "day": (112, 126, 146), "sunset": (120, 82, 104), "night": (54, 60, 92)}

# The ground's far and near edge at every hour.
GROUND: dict[str, dict[str, tuple[Colour, Colour]]] = {
    "meadow": {"dawn": ((192, 210, 142), (134, 176, 106)), "day": ((178, 212, 112), (122, 180, 84)),
               "sunset": ((182, 172, 88), (106, 136, 70)), "night": ((46, 86, 106), (30, 72, 82))},
    "desert": {"dawn": ((252, 212, 170), (234, 174, 130)), "day": ((246, 216, 152), (222, 172, 104)),
               "sunset": ((250, 178, 102), (216, 122, 64)), "night": ((132, 112, 132), (104, 86, 110))},
    "snow": {"dawn": ((252, 238, 242), (224, 216, 240)), "day": ((238, 245, 252), (208, 224, 243)),
             "sunset": ((252, 222, 216), (214, 188, 214)), "night": ((128, 146, 202), (98, 118, 180))},
    "sea": {"dawn": ((170, 176, 216), (78, 122, 184)), "day": ((112, 184, 214), (34, 104, 164)),
            "sunset": ((190, 104, 116), (74, 58, 122)), "night": ((48, 68, 134), (18, 38, 94))},
}
# The hills behind it by day, from far to near.
HILLS: dict[str, tuple[Colour, ...]] = {
    "meadow": ((168, 200, 196), (150, 196, 130)),
    "desert": ((222, 178, 150), (236, 194, 132)),
    "snow": ((176, 194, 224), (208, 222, 242)),
    "sea": (),
}
# What the hour does to hills, flowers and sand: multiplied by the first, mixed with the second by the share.
GROUND_LIGHT: dict[str, tuple[Colour, Colour, float]] = {
    "dawn": ((246, 226, 236), (255, 206, 200), 0.16),
    "day": ((255, 255, 255), (255, 255, 255), 0.0),
    "sunset": ((246, 200, 184), (240, 128, 84), 0.12),
    "night": ((104, 120, 172), (40, 50, 104), 0.15),
}


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` (0 to 1) of `b` in it."""
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b))


def multiply(a: Colour, b: Colour) -> Colour:
    """`a` seen in light of colour `b`."""
    return tuple(p * q // 255 for p, q in zip(a, b))


def lighter(a: Colour, share: float) -> Colour:
    return mix(a, (255, 252, 244), share)


def darker(a: Colour, share: float) -> Colour:
    return mix(a, (40, 26, 70), share)


def on_ground(colour: Colour, time: str) -> Colour:
    """A colour of the ground in the light of the hour."""
    tint, glow, share = GROUND_LIGHT[time]
    return mix(multiply(colour, tint), glow, share)
