"""How each kind of thing is drawn.

Every function paints into a unit box, x from -0.5 to 0.5 and y from 0 (the ground) up to about 1, in plain
daylight; the light of the hour, the shadow side and the glow at night come afterwards, in `drawing.py`. `rng`
settles small things like the heights in a grove, `night` lights the windows, `snowy` puts snow on top.
"""

import math

from PIL import Image, ImageDraw

from .palette import Colour, darker, lighter, mix

CREAM = (252, 240, 214)
WOOD = (150, 104, 66)
SLATE = (86, 78, 102)
GLASS = (150, 200, 226)
INK = (48, 40, 66)
LAMP = (255, 222, 120)


class Pen:
    """Draws in unit coordinates (y up) on a transparent tile, `width` by `height` units of `scale` pixels,
    with the ground `below` units above its lower edge."""

    def __init__(self, scale: float, width: float, height: float, below: float):
        self.scale = scale
        self.size = (max(4, round(scale * width)), max(4, round(scale * height)))
        self.image = Image.new("RGBA", self.size)
        self.draw = ImageDraw.Draw(self.image)
        self.x0, self.y0 = self.size[0] / 2, self.size[1] - scale * below

    def poly(self, points, fill: Colour) -> None:
        s, x0, y0 = self.scale, self.x0, self.y0
        self.draw.polygon([(x0 + x * s, y0 - y * s) for x, y in points], fill=fill)

    def rect(self, x: float, y: float, w: float, h: float, fill: Colour) -> None:
        """A rectangle from its lower left corner."""
        self.poly(((x, y), (x + w, y), (x + w, y + h), (x, y + h)), fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        s, cx, cy = self.scale, self.x0 + x * self.scale, self.y0 - y * self.scale
        self.draw.ellipse((cx - rx * s, cy - ry * s, cx + rx * s, cy + ry * s), fill=fill)

    def line(self, points, width: float, fill: Colour) -> None:
        s, x0, y0 = self.scale, self.x0, self.y0
        self.draw.line([(x0 + x * s, y0 - y * s) for x, y in points], fill=fill,
                       width=max(1, round(width * s)), joint="curve")

    def limb(self, ax: float, ay: float, bx: float, by: float, r: float, fill: Colour) -> None:
        """A thick line with round ends."""
        self.line(((ax, ay), (bx, by)), 2 * r, fill)
        self.oval(ax, ay, r, r, fill)
        self.oval(bx, by, r, r, fill)


def _window(pen: Pen, x: float, y: float, w: float, h: float, lit: bool) -> None:
    pen.rect(x - 0.018, y - 0.018, w + 0.036, h + 0.036, CREAM)
    pen.rect(x, y, w, h, LAMP if lit else GLASS)


def house(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    pen.rect(0.2, 0.62, 0.12, 0.34, (156, 92, 80))
    pen.rect(0.185, 0.93, 0.15, 0.05, (120, 72, 70))
    pen.rect(-0.42, 0, 0.84, 0.56, colour)
    pen.rect(-0.42, 0, 0.84, 0.05, darker(colour, 0.3))
    pen.poly(((-0.42, 0.5), (0.42, 0.5), (0.42, 0.56), (-0.42, 0.56)), darker(colour, 0.25))
    roof = SLATE
    pen.poly(((-0.5, 0.53), (0.5, 0.53), (0.3, 0.9), (-0.3, 0.9)), roof)
    pen.poly(((-0.5, 0.53), (0.5, 0.53), (0.485, 0.57), (-0.485, 0.57)), darker(roof, 0.35))
    for row in (0.66, 0.78):
        pen.line(((-0.42, row), (0.42, row)), 0.012, darker(roof, 0.25))
    if snowy:
        pen.poly(((-0.45, 0.64), (-0.2, 0.69), (0.05, 0.64), (0.25, 0.7), (0.45, 0.64), (0.31, 0.92),
                  (-0.31, 0.92)), (250, 252, 255))
    pen.rect(-0.09, 0, 0.18, 0.33, darker(WOOD, 0.25))
    pen.rect(-0.07, 0, 0.14, 0.31, WOOD)
    pen.oval(0.04, 0.15, 0.015, 0.015, LAMP)
    for x in (-0.33, 0.17):
        _window(pen, x, 0.19, 0.16, 0.19, night)
        pen.rect(x + 0.073, 0.19, 0.014, 0.19, CREAM)
        pen.rect(x, 0.28, 0.16, 0.014, CREAM)


# A crown's puffs: centre and radii as shares of the crown's own half width and half height.
_PUFFS = ((0, 0.42, 0.62, 0.58), (-0.5, -0.02, 0.5, 0.5), (0.5, -0.04, 0.5, 0.5), (-0.3, -0.5, 0.52, 0.48),
          (0.34, -0.5, 0.52, 0.48), (0, 0, 0.6, 0.6))


def _one_tree(pen: Pen, x: float, h: float, r: float, colour: Colour, snowy: bool) -> None:
    trunk = (118, 82, 60)
    pen.poly(((x - r * 0.24, 0), (x + r * 0.24, 0), (x + r * 0.14, h * 0.5), (x - r * 0.14, h * 0.5)), trunk)
    low, dark, light = h * 0.22, darker(colour, 0.22), lighter(colour, 0.2)
    mid, half = (h + low) / 2, (h - low) / 2
    for fill, grow, dx, dy in ((dark, 1.0, 0.0, 0.0), (colour, 0.86, -0.1, 0.09)):
        for px, py, pr, ph in _PUFFS:
            pen.oval(x + (px + dx) * r, mid + (py + dy) * half, pr * r * grow, ph * half * grow, fill)
    pen.oval(x - r * 0.34, mid + half * 0.44, r * 0.34, half * 0.34, light)
    pen.oval(x - r * 0.56, mid - half * 0.12, r * 0.22, half * 0.24, light)
    if snowy:
        pen.oval(x - r * 0.05, mid + half * 0.76, r * 0.46, half * 0.2, (250, 252, 255))


def tree(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    if thing.count == 1:
        _one_tree(pen, 0, 1.0, 0.4, colour, snowy)
        return
    gap, r = (0.46, 0.215) if thing.count == 2 else (0.385, 0.18)
    for i in range(thing.count):
        x = (i - (thing.count - 1) / 2) * gap
        _one_tree(pen, x, rng.uniform(0.8, 0.98), r, colour, snowy)


def boat(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    pen.rect(-0.02, 0.2, 0.035, 0.8, darker(WOOD, 0.3))
    pen.poly(((0.03, 0.3), (0.4, 0.32), (0.3, 0.5), (0.17, 0.74), (0.03, 0.95)), CREAM)
    pen.poly(((0.03, 0.52), (0.285, 0.52), (0.21, 0.66), (0.03, 0.66)), colour)
    pen.poly(((-0.045, 0.3), (-0.36, 0.32), (-0.2, 0.56), (-0.045, 0.84)), mix(CREAM, (214, 206, 210), 0.5))
    pen.poly(((-0.01, 0.98), (-0.17, 0.95), (-0.01, 0.9)), (226, 74, 66))
    pen.poly(((-0.5, 0.27), (0.52, 0.27), (0.36, 0.0), (-0.34, 0.0)), colour)
    pen.poly(((-0.5, 0.27), (0.52, 0.27), (0.5, 0.225), (-0.475, 0.225)), CREAM)
    pen.poly(((-0.36, 0.04), (0.385, 0.04), (0.36, 0.0), (-0.34, 0.0)), darker(colour, 0.35))
    for x in (-0.2, 0.02, 0.24):
        pen.oval(x, 0.135, 0.042, 0.042, CREAM)
        pen.oval(x, 0.135, 0.027, 0.027, LAMP if night else GLASS)


def rocket(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    fin = darker(colour, 0.28)
    pen.poly(((-0.16, 0.4), (-0.34, 0.16), (-0.34, 0.0), (-0.12, 0.14)), fin)
    pen.poly(((0.16, 0.4), (0.34, 0.16), (0.34, 0.0), (0.12, 0.14)), fin)
    pen.rect(-0.1, 0.06, 0.2, 0.08, SLATE)
    side = [(0.0, 1.02), (0.07, 0.94), (0.13, 0.82), (0.175, 0.66), (0.185, 0.48), (0.17, 0.3), (0.13, 0.12)]
    pen.poly([*side, *((-x, y) for x, y in reversed(side))], colour)
    pen.poly(((0, 1.02), (0.07, 0.94), (0.13, 0.82), (-0.13, 0.82), (-0.07, 0.94)), CREAM)
    pen.poly(((0.17, 0.3), (0.157, 0.235), (-0.157, 0.235), (-0.17, 0.3)), CREAM)
    pen.poly(((-0.03, 0.3), (0.03, 0.3), (0.03, 0.0), (-0.03, 0.0)), fin)
    pen.oval(0, 0.6, 0.11, 0.11, CREAM)
    pen.oval(0, 0.6, 0.078, 0.078, LAMP if night else (96, 168, 214))
    pen.oval(-0.025, 0.63, 0.03, 0.03, (236, 248, 255))


def flame(pen: Pen) -> None:
    """Below a rocket in flight; needs no light."""
    pen.poly(((-0.11, 0.08), (-0.13, -0.05), (0, -0.27), (0.13, -0.05), (0.11, 0.08)), (250, 128, 40))
    pen.poly(((-0.065, 0.08), (-0.07, -0.02), (0, -0.16), (0.07, -0.02), (0.065, 0.08)), (255, 228, 120))


def castle(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    shade = darker(colour, 0.18)
    roof = (250, 252, 255) if snowy else SLATE
    pen.rect(-0.14, 0.2, 0.28, 0.52, shade)
    pen.poly(((-0.18, 0.7), (0.18, 0.7), (0, 0.98)), roof)
    pen.line(((0, 0.96), (0, 1.1)), 0.02, INK)
    pen.poly(((0.005, 1.1), (0.15, 1.06), (0.005, 1.01)), (226, 74, 66))
    pen.rect(-0.3, 0, 0.6, 0.4, colour)
    for i in range(5):
        pen.rect(-0.29 + i * 0.125, 0.38, 0.075, 0.08, colour)
    for x in (-0.38, 0.38):
        pen.rect(x - 0.11, 0, 0.22, 0.6, colour)
        pen.rect(x - 0.13, 0.55, 0.26, 0.06, shade)
        pen.poly(((x - 0.15, 0.61), (x + 0.15, 0.61), (x, 0.88)), roof)
        pen.poly(((x, 0.88), (x + 0.15, 0.61), (x + 0.06, 0.61)), darker(roof, 0.15))
        _window(pen, x - 0.03, 0.34, 0.06, 0.12, night)
    _window(pen, -0.035, 0.52, 0.07, 0.11, night)
    pen.rect(-0.1, 0, 0.2, 0.17, darker(WOOD, 0.3))
    pen.oval(0, 0.17, 0.1, 0.1, darker(WOOD, 0.3))
    pen.line(((0, 0), (0, 0.26)), 0.012, INK)
    pen.rect(-0.49, 0, 0.98, 0.04, darker(colour, 0.35))


def car(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    pen.poly(((-0.3, 0.38), (-0.2, 0.66), (0.14, 0.66), (0.3, 0.38)), colour)
    pen.poly(((-0.3, 0.4), (-0.21, 0.68), (-0.14, 0.71), (0.08, 0.71), (0.15, 0.68), (0.3, 0.4)), colour)
    glass = LAMP if night else (176, 216, 234)
    pen.poly(((-0.235, 0.42), (-0.165, 0.62), (-0.05, 0.62), (-0.05, 0.42)), glass)
    pen.poly(((-0.005, 0.42), (-0.005, 0.62), (0.115, 0.62), (0.225, 0.42)), glass)
    pen.poly(((-0.53, 0.15), (-0.53, 0.34), (-0.48, 0.41), (0.36, 0.41), (0.5, 0.36), (0.54, 0.28),
              (0.54, 0.15)), colour)
    pen.rect(-0.53, 0.13, 1.07, 0.06, darker(colour, 0.3))
    pen.line(((-0.03, 0.4), (-0.03, 0.2)), 0.014, darker(colour, 0.35))
    pen.oval(0.49, 0.29, 0.045, 0.05, (255, 246, 190))
    pen.oval(-0.51, 0.29, 0.025, 0.045, (226, 60, 50))
    for x in (-0.3, 0.3):
        pen.oval(x, 0.135, 0.145, 0.145, INK)
        pen.oval(x, 0.135, 0.075, 0.075, (214, 210, 216))


def cat(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    shade = darker(colour, 0.25)
    pen.line(((0.2, 0.08), (0.4, 0.1), (0.46, 0.26), (0.4, 0.42)), 0.085, colour)
    pen.oval(0.4, 0.43, 0.045, 0.045, shade)
    pen.oval(0.03, 0.26, 0.28, 0.28, colour)
    pen.oval(0.2, 0.15, 0.15, 0.16, colour)
    pen.poly(((-0.19, 0.4), (-0.22, 0.0), (0.14, 0.0), (0.17, 0.4)), colour)
    for x in (-0.13, 0.05):
        pen.oval(x, 0.045, 0.075, 0.05, lighter(colour, 0.35))
    pen.line(((-0.04, 0.03), (-0.04, 0.24)), 0.016, shade)
    for side in (-1, 1):
        x = -0.05 + side * 0.17
        pen.poly(((x - 0.12, 0.7), (x + side * 0.06, 1.0), (x + 0.12, 0.72)), colour)
        pen.poly(((x - 0.05, 0.76), (x + side * 0.04, 0.92), (x + 0.05, 0.76)), (250, 176, 180))
    pen.oval(-0.05, 0.62, 0.29, 0.24, colour)
    pen.oval(-0.05, 0.54, 0.14, 0.1, lighter(colour, 0.6))
    for x in (-0.17, 0.07):
        pen.oval(x, 0.66, 0.055, 0.065, (250, 244, 190) if night else (250, 250, 246))
        pen.oval(x, 0.655, 0.032, 0.055, INK)
    pen.poly(((-0.085, 0.585), (-0.015, 0.585), (-0.05, 0.545)), (226, 96, 120))
    for y in (0.5, 0.56):
        pen.line(((-0.14, y), (-0.4, y + (y - 0.53) * 2)), 0.012, INK)
        pen.line(((0.04, y), (0.3, y + (y - 0.53) * 2)), 0.012, INK)


def balloon(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    for x in (-0.09, 0.09):
        pen.line(((x * 2.4, 0.42), (x, 0.14)), 0.014, INK)
    envelope = [(math.sin(a) * 0.4, 0.66 + math.cos(a) * 0.36) for a in
                (i * math.pi / 12 for i in range(10))]
    envelope.append((0.09, 0.24))

    def band(left: float, right: float, fill: Colour) -> None:
        back = reversed(envelope)
        pen.poly([*((x * right, y) for x, y in envelope), *((x * left, y) for x, y in back)], fill)

    band(-1, 1, colour)
    band(-0.66, -0.3, lighter(colour, 0.3))
    band(0.3, 0.66, darker(colour, 0.16))
    pen.poly(((-0.1, 0.26), (0.1, 0.26), (0.09, 0.22), (-0.09, 0.22)), darker(colour, 0.4))
    if night:
        pen.oval(0, 0.22, 0.04, 0.05, LAMP)
    pen.rect(-0.1, 0.0, 0.2, 0.15, WOOD)
    pen.rect(-0.115, 0.12, 0.23, 0.035, darker(WOOD, 0.3))
    pen.line(((-0.1, 0.07), (0.1, 0.07)), 0.014, darker(WOOD, 0.3))


# Index, middle, ring and little finger, then the thumb: where each starts and ends.
_FINGERS = (((-0.16, 0.48), (-0.31, 0.84)), ((-0.055, 0.54), (-0.105, 1.0)), ((0.06, 0.54), (0.115, 0.99)),
            ((0.16, 0.48), (0.325, 0.82)), ((-0.14, 0.28), (-0.46, 0.44)))


def hand(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    pen.x0 += 0.07 * pen.scale  # the thumb sticks out to the left
    edge = darker(colour, 0.45)
    for i, ((ax, ay), (bx, by)) in enumerate(_FINGERS):
        if i < thing.fingers:
            pen.limb(ax, ay, bx, by, 0.066, edge)
    pen.poly(((-0.21, 0.2), (-0.23, 0.52), (0.23, 0.52), (0.2, 0.2)), edge)
    for i, ((ax, ay), (bx, by)) in enumerate(_FINGERS):
        if i < thing.fingers:
            pen.limb(ax, ay, bx, by, 0.05, lighter(colour, 0.1))
    pen.poly(((-0.19, 0.2), (-0.21, 0.5), (-0.18, 0.54), (0.19, 0.54), (0.21, 0.5), (0.18, 0.2)), colour)
    for i, ((ax, ay), _) in enumerate(_FINGERS[:4]):
        if i >= thing.fingers:
            pen.oval(ax, ay, 0.056, 0.06, edge)
            pen.oval(ax, ay - 0.015, 0.046, 0.05, lighter(colour, 0.12))
    if thing.fingers < 5:
        pen.limb(-0.14, 0.3, 0.02, 0.37, 0.056, edge)
        pen.limb(-0.14, 0.3, 0.02, 0.37, 0.044, lighter(colour, 0.12))
    pen.poly(((-0.2, 0.0), (-0.22, 0.19), (0.22, 0.19), (0.2, 0.0)), SLATE)
    pen.rect(-0.235, 0.13, 0.47, 0.09, CREAM)


# Strokes in a box of width 1 and height 1, y up.
_GLYPHS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "2": (((0, .82), (.25, 1), (.75, 1), (1, .76), (0, 0), (1, 0)),),
    "3": (((0, 1), (1, 1), (.45, .58), (.8, .56), (1, .3), (.75, 0), (.2, 0), (0, .12)),),
    "4": (((.75, 0), (.75, 1), (0, .3), (1, .3)),),
    "7": (((0, 1), (1, 1), (.35, 0)),),
    "A": (((0, 0), (.5, 1), (1, 0)), ((.2, .33), (.8, .33))),
    "C": (((1, .88), (.7, 1), (.3, 1), (0, .7), (0, .3), (.3, 0), (.7, 0), (1, .12)),),
    "E": (((1, 1), (0, 1), (0, 0), (1, 0)), ((0, .5), (.8, .5))),
    "H": (((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, .5), (1, .5))),
    "L": (((0, 1), (0, 0), (1, 0)),),
    "P": (((0, 0), (0, 1), (.75, 1), (1, .82), (1, .62), (.75, .45), (0, .45)),),
    "T": (((0, 1), (1, 1)), ((.5, 1), (.5, 0))),
    "X": (((0, 0), (1, 1)), ((0, 1), (1, 0))),
}


def sign(pen: Pen, colour: Colour, thing, rng, night: bool, snowy: bool) -> None:
    pen.rect(-0.05, 0, 0.1, 0.36, WOOD)
    pen.rect(-0.52, 0.28, 1.04, 0.72, darker(colour, 0.4))
    pen.rect(-0.485, 0.315, 0.97, 0.65, colour)
    ink = CREAM if thing.colour in ("red", "green", "blue", "purple") else INK
    for x, character in zip((-0.39, 0.07), thing.text):
        for stroke in _GLYPHS[character]:
            pen.line([(x + px * 0.32, 0.415 + py * 0.45) for px, py in stroke], 0.088, ink)
    if snowy:
        pen.poly(((-0.53, 0.98), (0.53, 0.98), (0.5, 1.03), (-0.5, 1.03)), (250, 252, 255))


DRAW = {"house": house, "tree": tree, "boat": boat, "rocket": rocket, "castle": castle, "car": car,
        "cat": cat, "balloon": balloon, "hand": hand, "sign": sign}
# Size of the unit box as a share of the picture's width.
LARGE = {"house": 0.35, "tree": 0.42, "boat": 0.37, "rocket": 0.42, "castle": 0.37, "car": 0.34, "cat": 0.36,
         "balloon": 0.42, "hand": 0.39, "sign": 0.34}
SMALL = {kind: 0.58 * scale for kind, scale in LARGE.items()} | {"hand": 0.275, "sign": 0.23}
# From the middle of the unit box to the farther side of what is drawn in it, for each (kind, count).
REACH = {("house", 1): 0.5, ("tree", 1): 0.44, ("tree", 2): 0.46, ("tree", 3): 0.57, ("boat", 1): 0.53,
         ("rocket", 1): 0.35, ("castle", 1): 0.53, ("car", 1): 0.55, ("cat", 1): 0.48, ("balloon", 1): 0.41,
         ("hand", 1): 0.47, ("sign", 1): 0.54}
