"""From a scene to a picture: the surroundings, then the things with their shadows and lights."""

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .palette import COLOUR_RGB, GROUND, LIGHT, Colour, darker, mix, multiply, on_ground
from .scene import Scene, Thing, whole
from .surroundings import paint_land, paint_sky, paint_sun_or_moon, paint_weather, sky_colours
from .things import DRAW, LARGE, REACH, SMALL, Pen, flame

PLACE_X = {"left": 0.195, "middle": 0.5, "right": 0.805}


class _Placed:
    """A thing with its position: `x` and `y` of its foot, its `scale` and its `reach` to either side, as
    shares of the picture's width, y down. What is `flying` keeps off the ground."""

    def __init__(self, thing: Thing, rng: random.Random):
        self.thing = thing
        large = thing.size == "large"
        self.scale = (LARGE if large else SMALL)[thing.kind] * rng.choice((0.97, 1.0, 1.03))
        if thing.count == 3:
            self.scale *= 0.87  # three trees abreast must fit one place
        self.x = PLACE_X[thing.place] + rng.uniform(-0.018, 0.018)
        self.reach = REACH[thing.kind, thing.count] * self.scale
        self.x = min(max(self.x, self.reach), 1 - self.reach)
        self.flying = thing.kind == "balloon" or (thing.kind == "rocket" and rng.random() < 0.45)
        if self.flying:
            self.y = (0.58 if large else 0.42) + rng.uniform(-0.03, 0.05)
        else:
            self.y = (0.90 if large else 0.785) + rng.uniform(-0.012, 0.012)


def _make_room(placed: list[_Placed]) -> None:
    """Where two neighbours would overlap, the one in the middle steps aside."""
    if len(placed) < 2:
        return
    a, b = sorted(placed, key=lambda p: p.x)
    overlap = a.reach + b.reach + 0.01 - (b.x - a.x)
    if overlap > 0:
        if a.thing.place == "middle":
            a.x -= min(overlap, 0.075)
        else:
            b.x += min(overlap, 0.075)


def _soft_spot(canvas: Image.Image, x: float, y: float, rx: float, ry: float, colour: Colour,
               strength: float) -> None:
    """Paste a blurred ellipse of a colour: a shadow or a glow."""
    width = canvas.width
    size = (max(2, round(2 * rx * width)), max(2, round(2 * ry * width)))
    mask = _spot_mask(*size, round(strength * 20))
    canvas.paste(colour, (round(x * width) - size[0] // 2, round(y * width) - size[1] // 2), mask)


@lru_cache(maxsize=96)
def _spot_mask(width: int, height: int, strength: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width] + 0.5
    distance = np.hypot(x / width * 2 - 1, y / height * 2 - 1)
    return Image.fromarray((255 * strength / 20 * np.clip(1.5 * (1 - distance), 0, 1)).astype(np.uint8))


_FOOT = {"house": 0.5, "tree": 0.34, "boat": 0.46, "rocket": 0.36, "castle": 0.54, "car": 0.56, "cat": 0.4,
         "balloon": 0.3, "hand": 0.3, "sign": 0.3}


def _foot(placed: _Placed) -> float:
    wide = {1: 1.0, 2: 1.5, 3: 1.75}[placed.thing.count]
    return _FOOT[placed.thing.kind] * wide * placed.scale


def _under(canvas: Image.Image, placed: _Placed, scene: Scene) -> None:
    """What carries the thing: its shadow on land, an island in the sea, a pond for a boat on land."""
    width, time = canvas.width, scene.time
    x, y, foot = placed.x, placed.y, _foot(placed)
    draw = ImageDraw.Draw(canvas)

    def oval(cx, cy, rx, ry, fill):
        draw.ellipse(((cx - rx) * width, (cy - ry) * width, (cx + rx) * width, (cy + ry) * width), fill=fill)

    shadow = (18, 22, 54) if time == "night" else (62, 50, 92)
    if placed.flying:
        if scene.land != "sea":
            _soft_spot(canvas, x, 0.93 if placed.thing.size == "large" else 0.84, foot, 0.022, shadow, 0.25)
        return
    if scene.land == "sea":
        if placed.thing.kind != "boat":
            sand, rim = on_ground((240, 214, 150), time), on_ground((236, 246, 250), time)
            oval(x, y + 0.012, foot + 0.045, 0.040, mix(rim, on_ground((60, 140, 190), time), 0.3))
            oval(x, y + 0.008, foot + 0.032, 0.032, darker(sand, 0.2))
            oval(x, y + 0.002, foot + 0.032, 0.030, sand)
            _soft_spot(canvas, x + 0.02, y, foot, 0.018, shadow, 0.4)
        return
    if placed.thing.kind == "boat":
        rim = GROUND[scene.land][time][1]
        oval(x, y + 0.006, foot + 0.055, 0.042, darker(rim, 0.2))
        oval(x, y + 0.010, foot + 0.045, 0.036, on_ground((96, 170, 208), time))
        return
    _soft_spot(canvas, x + 0.14 * placed.scale, y, foot * 1.15, 0.09 * placed.scale + 0.006, shadow, 0.5)


@lru_cache(maxsize=192)
def _shade(light: tuple, width: int, height: int, from_left: bool) -> Image.Image:
    """What a thing is multiplied with: the light's tint, and a soft shadow side."""
    return _shade_chart(light, from_left).resize((width, height), Image.Resampling.BILINEAR)


@lru_cache(maxsize=8)
def _shade_chart(light: tuple, from_left: bool) -> Image.Image:
    x = np.linspace(0, 1, 48)
    x = x if from_left else x[::-1]
    y = np.linspace(0, 1, 48)[:, None]
    shadow = (1 - 0.34 * np.clip(x * 1.25 - 0.35, 0, 1) ** 1.2 - 0.10 * y)[..., None]
    cool = np.array([1.0, 1.02, 1.10])  # shadows lean to blue
    rgb = shadow * np.array(light) * cool ** ((1 - shadow) * 2)
    pixels = np.full((48, 48, 4), 255, np.uint8)
    pixels[..., :3] = np.clip(rgb, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _put(canvas: Image.Image, placed: _Placed, scene: Scene, rng: random.Random, from_left: bool) -> None:
    width, thing = canvas.width, placed.thing
    night = scene.time == "night"
    snowy = scene.land == "snow" and not placed.flying
    wide = 1.3 if thing.kind != "tree" or thing.count == 1 else 1.5
    pen = Pen(placed.scale * width, wide, 1.5 if placed.flying else 1.25, 0.36 if placed.flying else 0.1)
    DRAW[thing.kind](pen, COLOUR_RGB[thing.colour], thing, rng, night, snowy)
    tile = ImageChops.multiply(pen.image, _shade(LIGHT[scene.time], *pen.size, from_left))
    left, top = round(placed.x * width - pen.size[0] / 2), round(placed.y * width - pen.y0)
    rim = max(1, round(0.006 * width))
    box = tile.getbbox()
    box = (box[0] - rim, box[1] - rim, box[2] + rim, box[3] + rim)  # past the tile's edge is transparent
    tile, left, top = tile.crop(box), left + box[0], top + box[1]
    if scene.land == "sea" and not placed.flying:
        _reflect(canvas, tile, left, placed)
    # A thin contour in a deep shade of the thing's own colour lifts it off any background.
    alpha, contour = tile.getchannel("A"), multiply(darker(COLOUR_RGB[thing.colour], 0.6), LIGHT[scene.time])
    around = alpha
    for dx, dy in ((-rim, 0), (rim, 0), (0, -rim), (0, rim)):
        around = ImageChops.lighter(around, ImageChops.offset(alpha, dx, dy))
    canvas.paste(contour, (left, top), around)
    canvas.paste(tile, (left, top), tile)
    _lights(canvas, placed, scene, rng)


def _reflect(canvas: Image.Image, tile: Image.Image, left: int, placed: _Placed) -> None:
    """A faint, squashed mirror image in the water below."""
    width = canvas.width
    height = max(1, tile.height * 2 // 5)
    mirror = tile.resize((tile.width, height), Image.Resampling.NEAREST)
    mirror = mirror.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    gap = 0 if placed.thing.kind == "boat" else 0.034 * width
    top = round(placed.y * width + gap)
    canvas.paste(mirror, (left, top), mirror.getchannel("A").point(lambda a: a * 2 // 5))


def _lights(canvas: Image.Image, placed: _Placed, scene: Scene, rng: random.Random) -> None:
    """Chimney smoke, the glow of windows at night, a rocket's fire: after the shading, since they shine."""
    width, kind, scale = canvas.width, placed.thing.kind, placed.scale
    if kind == "house":
        puff = mix((236, 234, 240), sky_colours(scene)[1], 0.35)
        draw = ImageDraw.Draw(canvas)
        lean = rng.uniform(0.06, 0.12)
        for i, r in enumerate((0.035, 0.05, 0.065)):
            cx = (placed.x + scale * (0.26 + lean * i)) * width
            cy = (placed.y - scale * (1.03 + 0.09 * i)) * width
            r *= scale * width
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=puff)
    if kind == "rocket" and placed.flying:
        _soft_spot(canvas, placed.x, placed.y + 0.06 * scale, 0.3 * scale, 0.36 * scale, (255, 190, 96), 0.5)
        _flame(canvas, placed)
    if scene.time == "night":
        for x, y in _LAMPS.get(kind, ()):
            _soft_spot(canvas, placed.x + x * scale, placed.y - y * scale, 0.2 * scale, 0.2 * scale,
                       (255, 214, 120), 0.5)
            draw = ImageDraw.Draw(canvas)
            r = 0.05 * scale * width
            cx, cy = (placed.x + x * scale) * width, (placed.y - y * scale) * width
            draw.rectangle((cx - r, cy - r, cx + r, cy + r), fill=(255, 232, 150))


_LAMPS = {"house": ((-0.25, 0.285), (0.25, 0.285)), "castle": ((0.0, 0.575), (-0.38, 0.4), (0.38, 0.4)),
          "car": ((0.49, 0.29),)}


def _flame(canvas: Image.Image, placed: _Placed) -> None:
    width = canvas.width
    pen = Pen(placed.scale * width, 0.4, 0.5, 0.34)
    flame(pen)
    canvas.paste(pen.image, (round(placed.x * width - pen.x0), round(placed.y * width - pen.y0)), pen.image)


# --- The picture ---

def _canvas_factor(size: int) -> int:
    # 16, 32 and 64 share one canvas of 256, so that they are the same picture, only smaller.
    return 2 if size > 128 else 4 if size > 32 else 8 if size > 16 else 16


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """Draw a scene.

    Args:
        scene: what to draw.
        size: width and height in pixels, 16 to 256.

    Returns:
        The picture, uint8 of shape (size, size, 3). The same scene and size always give the same bytes.

    Raises:
        ValueError: for a size that is not a whole number from 16 to 256.
    """
    size = whole("size", size)
    if not 16 <= size <= 256:
        raise ValueError(f"size must be a whole number from 16 to 256, not {size}.")
    factor = _canvas_factor(size)
    rng = random.Random(int(scene.seed))
    placed = [_Placed(thing, random.Random(rng.getrandbits(32))) for thing in scene.things]
    _make_room(placed)
    free = [x for place, x in PLACE_X.items()
            if not any(p.flying and p.thing.place == place for p in placed)]
    sky_x, sky_y = rng.choice(free), rng.uniform(0.19, 0.22)
    sky_x += (0.5 - sky_x) * 0.1 + rng.uniform(-0.03, 0.03)
    canvas = paint_sky(scene, size * factor, random.Random(rng.getrandbits(32)), sky_x, sky_y)
    if scene.sky in ("sun", "moon"):
        paint_sun_or_moon(canvas, scene, sky_x, sky_y)
    paint_land(canvas, scene, random.Random(rng.getrandbits(32)), sky_x)
    falling = random.Random(rng.getrandbits(32))
    paint_weather(canvas, scene, falling, "behind")
    for p in sorted(placed, key=lambda p: p.y + p.flying):
        _under(canvas, p, scene)
        _put(canvas, p, scene, random.Random(rng.getrandbits(32)), from_left=sky_x <= p.x + 0.05)
    if not any(thing.kind in ("hand", "sign") for thing in scene.things):  # fingers and letters stay clear
        paint_weather(canvas, scene, falling, "in front")
    return np.array(canvas.reduce(factor))
