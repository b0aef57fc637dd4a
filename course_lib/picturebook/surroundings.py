"""The surroundings: sky, clouds, sun and moon, hills, ground, sea, rain and snow.

Positions and lengths are shares of the picture's width, y down; the canvas is the enlarged picture.
"""

import math
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .palette import (
    CLOUD, GROUND, HILLS, OVERCAST, RAIN_CLOUD, SKY, darker, lighter, mix, on_ground,
)
from .scene import Scene

HORIZON = 0.62


# --- Pieces that many pictures share, kept in small caches ---

@lru_cache(maxsize=128)
def gradient(colours: tuple, width: int, height: int) -> Image.Image:
    """A smooth vertical run through the colours."""
    stops = np.linspace(0, 1, len(colours))
    rows = np.linspace(0, 1, height)
    ramp = np.stack([np.interp(rows, stops, [c[k] for c in colours]) for k in range(3)], axis=-1)
    strip = Image.fromarray(np.round(ramp)[:, None].astype(np.uint8))
    return strip.resize((width, height))


@lru_cache(maxsize=32)
def _glow(radius: int) -> Image.Image:
    """A soft round mask, 255 in the middle and 0 at the edge."""
    axis = (np.arange(2 * radius) + 0.5) / radius - 1
    distance = np.sqrt(axis[:, None] ** 2 + axis[None] ** 2)
    return Image.fromarray((255 * np.clip(1 - distance, 0, 1) ** 1.6).astype(np.uint8))


@lru_cache(maxsize=48)
def _cloud(width: int, variant: int, light: tuple, dark: tuple) -> Image.Image:
    """A puffy cloud with a shaded underside, on transparent ground."""
    rng = random.Random(variant)
    height = width // 2
    image = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(image)
    puffs = [(0.18, 0.70, 0.15), (0.82, 0.70, 0.15), (0.36, 0.58, 0.20), (0.64, 0.60, 0.19),
             (rng.uniform(0.44, 0.56), rng.uniform(0.44, 0.5), rng.uniform(0.2, 0.23))]
    for colour, lift, shrink in ((dark, 0.0, 1.0), (mix(dark, light, 0.6), 0.05, 0.95), (light, 0.10, 0.84)):
        for x, y, r in puffs:
            cx, cy, r = x * width, (y - lift) * height, r * shrink * width
            draw.ellipse((cx - r, cy - r * 0.8, cx + r, cy + r * 0.8), fill=colour)
    draw.rectangle((0, round(height * 0.9), width, height), fill=(0, 0, 0, 0))
    return image


@lru_cache(maxsize=8)
def _rainbow(width: int) -> Image.Image:
    """The arc, on transparent ground."""
    colours = ((232, 70, 70), (246, 152, 60), (252, 224, 86), (98, 190, 104), (78, 138, 222), (146, 96, 196))
    y, x = np.mgrid[0:round(width * 0.7), 0:width] + 0.5
    radius = np.hypot(x / width - 0.5, y / width - 0.64)
    band = (0.45 - radius) / 0.019
    pixels = np.zeros((*radius.shape, 4), np.uint8)
    inside = (band >= 0) & (band < 6)
    pixels[inside, :3] = np.array(colours, np.uint8)[band[inside].astype(int)]
    edge = np.clip(np.minimum(band, 6 - band) * 2, 0, 1)
    pixels[..., 3] = np.where(inside, 205 * edge, 0)
    return Image.fromarray(pixels)


@lru_cache(maxsize=32)
def _fall(width: int, kind: str, layer: str, variant: int) -> Image.Image:
    """A mask of falling drops (slanted strokes) or flakes (dots)."""
    rng = random.Random(variant)
    image = Image.new("L", (width, width))
    draw = ImageDraw.Draw(image)
    if kind == "rain":
        drops = 64 if layer == "behind" else 12
        for i in range(drops):
            x, y = rng.random() * width, ((i + rng.random()) / drops * 1.1 - 0.08) * width
            length = rng.uniform(0.06, 0.1) * width
            draw.line((x, y, x - length * 0.32, y + length), fill=rng.randint(150, 225),
                      width=max(1, round(width * 0.009)))
    else:
        cells = 9 if layer == "behind" else 4
        for i in range(cells * cells):
            x = (i % cells + rng.random()) / cells * width
            y = (i // cells + rng.random()) / cells * width
            r = rng.choice((0.008, 0.010, 0.013)) * width
            draw.ellipse((x - r, y - r, x + r, y + r), fill=rng.randint(215, 255))
    return image


# --- The surroundings ---

def sky_colours(scene: Scene) -> tuple:
    colours = SKY[scene.time]
    share = {"clear": 0.0, "clouds": 0.0, "rain": 0.55, "snow": 0.4}[scene.weather]
    grey = OVERCAST[scene.time]
    if scene.weather == "snow":
        grey = lighter(grey, 0.12 if scene.time == "night" else 0.3)
    return tuple(mix(c, grey, share) for c in colours)


def _paste_cloud(canvas, x, y, w, variant, light, dark) -> None:
    width = canvas.width
    sprite = _cloud(max(4, round(w * width)), variant, light, dark)
    left, top = round(x * width) - sprite.width // 2, round(y * width) - sprite.height // 2
    canvas.paste(sprite, (left, top), sprite)


def paint_sky(scene: Scene, width: int, rng: random.Random, sky_x: float, sky_y: float) -> Image.Image:
    canvas = gradient(sky_colours(scene), width, width).copy()
    draw = ImageDraw.Draw(canvas)
    if scene.time == "night":
        stars = {"clear": 34, "clouds": 20, "rain": 0, "snow": 0}[scene.weather]
        for i in range(stars):
            x, y = rng.random() * width, rng.random() * 0.52 * width
            r = rng.choice((0.004, 0.005, 0.0075)) * width
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 248, 214) if i % 3 else (206, 218, 255))
    if scene.sky == "rainbow":
        rainbow = _rainbow(width)
        shift = round(rng.uniform(-0.12, 0.12) * width)
        canvas.paste(rainbow, (shift, 0), rainbow)
    if scene.weather == "clouds":
        light, dark = CLOUD[scene.time], mix(CLOUD[scene.time], SKY[scene.time][0], 0.42)
        sizes = (0.36, 0.31, 0.25)
        start = rng.random()
        for i, (w, y) in enumerate(zip(sizes, (0.10, 0.25, 0.38))):
            x = ((start + i * 0.38) % 1.0) * 1.04 - 0.02
            if scene.sky in ("sun", "moon") and abs(x - sky_x) < w / 2 + 0.03 and abs(y - sky_y) < 0.15:
                x += 0.3 if x < 0.5 else -0.3
            _paste_cloud(canvas, x, y + rng.uniform(-0.02, 0.02), w, rng.randrange(3), light, dark)
    elif scene.weather == "clear":
        if scene.time != "night" and rng.random() < 0.5:
            _birds(draw, width, rng, mix(darker(SKY[scene.time][0], 0.5), SKY[scene.time][1], 0.1))
    else:
        light = RAIN_CLOUD[scene.time]
        if scene.weather == "snow":
            light = lighter(light, 0.2 if scene.time == "night" else 0.5)
        dark = darker(light, 0.22)
        draw.rectangle((0, 0, width, 0.05 * width), fill=light)
        for i in range(4):
            x = 0.02 + i * 0.32 + rng.uniform(-0.05, 0.05)
            _paste_cloud(canvas, x, 0.035 + rng.uniform(-0.02, 0.02), 0.46, i % 3, light, dark)
    return canvas


def _birds(draw, width: int, rng: random.Random, colour) -> None:
    x, y = rng.uniform(0.15, 0.85), rng.uniform(0.30, 0.46)
    for _ in range(3):
        bx, by, r = x * width, y * width, rng.uniform(0.016, 0.022) * width
        for side in (-1, 1):
            wing = (bx, by, bx + side * r * 0.6, by - r * 0.5, bx + side * r * 1.3, by - r * 0.3)
            draw.line(wing, fill=colour, width=max(1, round(0.006 * width)))
        x, y = x + rng.uniform(0.03, 0.06), y + rng.uniform(-0.03, 0.03)


def paint_sun_or_moon(canvas: Image.Image, scene: Scene, x: float, y: float) -> None:
    width = canvas.width
    cx, cy, r = x * width, y * width, 0.068 * width
    reach = round(0.19 * width)
    halo = {"sun": (255, 240, 176), "moon": (216, 222, 255)}[scene.sky]
    canvas.paste(halo, (round(cx) - reach, round(cy) - reach), _glow(reach))
    if scene.sky == "moon":
        size = round(2 * r + 2)
        tile = Image.new("L", (size, size))
        draw = ImageDraw.Draw(tile)
        draw.ellipse((0, 0, 2 * r, 2 * r), fill=255)
        draw.ellipse((0.62 * r, -0.28 * r, 2.42 * r, 1.52 * r), fill=0)
        canvas.paste((255, 250, 222), (round(cx - r), round(cy - r)), tile)
        return
    draw = ImageDraw.Draw(canvas)
    colour = {"sunset": (255, 214, 92), "dawn": (255, 226, 120)}.get(scene.time, (255, 224, 84))
    for i in range(12):
        a = i * math.pi / 6 + 0.13
        tip, base, half = 1.5 * r, 1.14 * r, 0.16
        draw.polygon([(cx + math.cos(a) * tip, cy + math.sin(a) * tip),
                      (cx + math.cos(a - half) * base, cy + math.sin(a - half) * base),
                      (cx + math.cos(a + half) * base, cy + math.sin(a + half) * base)], fill=colour)
    draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(250, 190, 60))
    draw.ellipse((cx - r * 0.95, cy - r * 0.97, cx + r * 0.88, cy + r * 0.86), fill=colour)
    draw.ellipse((cx - r * 0.62, cy - r * 0.68, cx + r * 0.2, cy + r * 0.14), fill=lighter(colour, 0.45))


def _ridge(draw, width: int, base: float, height: float, rng, fill, sharp: bool = False) -> None:
    """One layer of hills: a sum of two waves, or a zigzag of peaks."""
    a, b = rng.uniform(0, 6.28), rng.uniform(0, 6.28)
    f, g = rng.uniform(4.5, 7), rng.uniform(9, 13)
    points = [(0, width), ]
    if sharp:
        x, up = -0.1, rng.random() < 0.5
        while x < 1.1:
            points.append((x * width, (base - (height * rng.uniform(0.7, 1.3) if up else 0.01)) * width))
            x, up = x + rng.uniform(0.12, 0.2), not up
        points.append((1.2 * width, base * width))
    else:
        for i in range(25):
            x = i / 24
            wave = 0.5 + 0.32 * math.sin(f * x + a) + 0.18 * math.sin(g * x + b)
            points.append((x * width, (base - height * wave) * width))
    points.append((width, width))
    draw.polygon(points, fill=fill)


def paint_land(canvas: Image.Image, scene: Scene, rng: random.Random, sky_x: float) -> None:
    width, land, time = canvas.width, scene.land, scene.time
    draw = ImageDraw.Draw(canvas)
    sky = sky_colours(scene)
    haze, air = sky[-1], mix(sky[-1], sky[1], 0.5)
    for i, colour in enumerate(HILLS[land]):
        fill = mix(on_ground(colour, time), air, 0.46 - 0.28 * i)
        _ridge(draw, width, HORIZON + 0.02 * i, 0.13 - 0.05 * i, rng, fill, sharp=land == "snow" and i == 0)
    far, near = GROUND[land][time]
    dull = {"clear": 0.0, "clouds": 0.0, "rain": 0.16, "snow": 0.08}[scene.weather]
    far, near = mix(far, haze, 0.22 + dull), mix(near, haze, dull)
    top = round(HORIZON * width)
    if land == "sea":
        isle, reach = rng.uniform(-0.05, 1.05) * width, rng.uniform(0.10, 0.2) * width
        draw.ellipse((isle - reach, top - 0.035 * width, isle + reach, top + 0.035 * width),
                     fill=mix(on_ground((112, 156, 170), time), air, 0.5))
        water = (mix(far, haze, 0.3), far, mix(far, near, 0.55), near)
        canvas.paste(gradient(water, width, width - top), (0, top))
    else:
        ground = gradient((far, mix(far, near, 0.7), near), width, width - top + round(0.04 * width))
        mask = Image.new("L", ground.size)
        a, f = rng.uniform(0, 6.28), rng.uniform(3, 6)
        edge = [(i / 16 * width, (0.02 + 0.016 * math.sin(f * i / 16 + a)) * width) for i in range(17)]
        ImageDraw.Draw(mask).polygon([(0, ground.height), *edge, (width, ground.height)], fill=255)
        canvas.paste(ground, (0, width - ground.height), mask)
        _knoll(canvas, rng, mix(far, near, 0.1), mix(far, near, 0.75))
    _details(draw, scene, width, rng, far, near, sky_x)


def _knoll(canvas: Image.Image, rng: random.Random, crest, foot) -> None:
    """A soft rise across the ground: a lit crest that melts into the ground below it."""
    width = canvas.width
    a, f, base = rng.uniform(0, 6.28), rng.uniform(2.5, 4.5), rng.uniform(0.70, 0.74)
    band = round(0.16 * width)
    edge = [(i / 12 * width, (0.03 + 0.028 * math.sin(f * i / 12 + a)) * width) for i in range(13)]
    mask = Image.new("L", (width, band))
    ImageDraw.Draw(mask).polygon([(0, band), *edge, (width, band)], fill=255)
    mask = ImageChops.multiply(mask, _fade(width, band))
    canvas.paste(gradient((crest, foot), width, band), (0, round(base * width)), mask)


@lru_cache(maxsize=8)
def _fade(width: int, height: int) -> Image.Image:
    """A mask that runs out towards its lower edge."""
    return gradient(((200,) * 3, (150,) * 3, (0,) * 3), width, height).getchannel(0)


def _details(draw, scene: Scene, width: int, rng: random.Random, far, near, sky_x: float) -> None:
    """Flowers and tufts, ripples of sand, drifts, waves: what makes ground look like ground."""
    land, time = scene.land, scene.time
    if land == "sea":
        crest = mix(far, (255, 255, 255), 0.2 if time == "night" else 0.45)
        for i in range(16):
            depth = (i + rng.random()) / 16
            y, x = HORIZON + 0.02 + depth ** 1.3 * 0.35, rng.random()
            w = 0.02 + 0.05 * depth
            left, right, y = int((x - w) * width), int((x + w) * width), int(y * width)
            draw.line((left, y, right, y), fill=crest,
                      width=max(1, round((0.003 + 0.006 * depth) * width)))
        if scene.sky in ("sun", "moon"):
            glint = (255, 232, 160) if scene.sky == "sun" else (214, 222, 250)
            for i in range(9):
                depth = (i + 0.5) / 9
                y, x = (HORIZON + 0.012 + depth * 0.34) * width, (sky_x + rng.uniform(-0.02, 0.02)) * width
                w = (0.012 + 0.05 * rng.random()) * width
                draw.line((int(x - w), int(y), int(x + w), int(y)), fill=mix(glint, far, 0.25 + 0.3 * depth),
                          width=max(1, round(0.009 * width)))
        return
    for i in range(14):
        depth = (i + rng.random()) / 14
        x, y = rng.random() * width, (HORIZON + 0.07 + depth * 0.31) * width
        s = (0.006 + 0.012 * depth) * width
        if land == "meadow":
            blade = darker(near, 0.2)
            draw.polygon([(x - s, y), (x - s * 1.2, y - s * 1.5), (x - s * 0.3, y - s * 0.3), (x, y - s * 2),
                          (x + s * 0.3, y - s * 0.3), (x + s * 1.2, y - s * 1.4), (x + s, y)], fill=blade)
            petal = on_ground(((255, 252, 244), (255, 222, 110), (250, 166, 188))[i % 3], time)
            for fx, fy in ((2.6, 0.3), (-2.2, 1.3))[:1 + i % 2]:
                fx, fy, r = x + fx * s, y + fy * s, s * 0.72
                draw.ellipse((fx - r, fy - r, fx + r, fy + r), fill=petal)
                r *= 0.4
                draw.ellipse((fx - r, fy - r, fx + r, fy + r), fill=on_ground((240, 176, 60), time))
        elif land == "desert":
            ripple = darker(near, 0.12) if i % 2 else lighter(far, 0.2 if time != "night" else 0.05)
            draw.arc((x - 5 * s, y - 1.2 * s, x + 5 * s, y + 1.8 * s), 200, 340, fill=ripple,
                     width=max(1, round(0.5 * s)))
        else:
            hollow = on_ground((150, 176, 220), time)
            drift = mix(near, hollow, 0.5) if i % 2 else mix(near, (255, 255, 255), 0.3)
            draw.arc((x - 6 * s, y - 1.4 * s, x + 6 * s, y + 2 * s), 195, 345, fill=drift,
                     width=max(1, round(0.5 * s)))


def paint_weather(canvas: Image.Image, scene: Scene, rng: random.Random, layer: str) -> None:
    """Rain or snow: most of it falls behind the things and a little in front, so that it hides nothing."""
    if scene.weather not in _FALL_COLOUR:
        return
    mask = _fall(canvas.width, scene.weather, layer, rng.randrange(4))
    mask = ImageChops.offset(mask, rng.randrange(canvas.width), rng.randrange(canvas.width))
    colour = _FALL_COLOUR[scene.weather][scene.time == "night"]
    canvas.paste(gradient((colour, colour), *canvas.size), (0, 0), mask)  # twice as fast as a bare colour


_FALL_COLOUR = {"rain": ((86, 118, 168), (150, 172, 220)), "snow": ((255, 255, 255), (232, 238, 255))}
