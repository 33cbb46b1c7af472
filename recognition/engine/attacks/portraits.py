"""The pictures that people and attacks are made from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.geometry import LEFT_EYE, RIGHT_EYE
from recognition.engine.types import Image, Points

Share = npt.NDArray[np.float32]

_BLACK = 6
_SOFT_EDGE = 0.06  # of the picture's longer side


@dataclass(frozen=True, slots=True)
class Portrait:
    """One picture of one person: ``(h, w, 3)`` uint8 RGB and its ``(68, 2)`` landmarks."""

    image: Image
    landmarks: Points


def without_black_corners(portrait: Portrait) -> Portrait:
    """The picture with what is black at its rim filled in.

    Pictures that were turned until the face stands upright, as those of LFW, have corners that no
    camera made; in a clip of somebody who is there they would be edges of a sheet.
    """
    black = (portrait.image.max(axis=2) <= _BLACK).astype(np.uint8)
    _, parts = cv2.connectedComponents(black, connectivity=4)
    rim = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    outside = np.isin(parts, np.unique(rim[rim > 0])) & (black > 0)
    if not outside.any():
        return portrait
    # Around it JPEG has made a dark seam.
    outside = cv2.dilate(outside.astype(np.uint8), np.ones((5, 5), np.uint8))
    return Portrait(_filled(portrait.image, 1 - outside.astype(np.float32)), portrait.landmarks)


def surrounded(portrait: Portrait, margin_share: float = 0.8) -> Portrait:
    """The picture fading into a blurred surrounding, so that no edge tells where it ends."""
    height, width = portrait.image.shape[:2]
    margin = round(margin_share * max(height, width))
    soft = max(2, round(_SOFT_EDGE * max(height, width)))
    wide = cv2.copyMakeBorder(portrait.image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    inside = np.zeros(wide.shape[:2], np.uint8)
    inside[margin + 1 : -margin - 1, margin + 1 : -margin - 1] = 1
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    image = _filled(np.asarray(wide, np.uint8), np.clip(depth / soft, 0, 1).astype(np.float32))
    return Portrait(image, (portrait.landmarks + margin).astype(np.float32))


def _filled(image: Image, known: Share) -> Image:
    """What is not known, by the nearest of what is: averaged down until nothing is left open.

    ``known`` is ``(h, w)``, 0 to 1. Pull-push: Gortler, Grzeszczuk, Szeliski & Cohen 1996, 3.4.
    """
    colours = image.astype(np.float32) * known[..., None]
    levels = [(colours, known)]
    while min(levels[-1][1].shape) > 2:
        halves = [np.asarray(cv2.pyrDown(one), np.float32) for one in levels[-1]]
        levels.append((halves[0], halves[1]))
    filled = levels[-1][0] / np.maximum(levels[-1][1][..., None], 1e-6)
    for colours, shares in reversed(levels[:-1]):
        size = shares.shape[1], shares.shape[0]
        coarser = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
        share = np.clip(shares, 0, 1)[..., None]
        filled = colours + (1 - share) * coarser
    return np.rint(np.clip(filled, 0, 255)).astype(np.uint8)


def with_glasses(person: Portrait, rng: np.random.Generator) -> Portrait:
    """The same person in dark frames that throw a shadow, the lenses taking a little light."""
    right, left = (person.landmarks[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    apart = float(np.linalg.norm(left - right))
    frame, lenses = _spectacles(person.image.shape[:2], right, left, rng)
    shadow = cv2.GaussianBlur(np.roll(frame, round(0.06 * apart), axis=0), (0, 0), 0.03 * apart)
    light = (1 - 0.5 * shadow[..., None] / 255) * (1 - 0.12 * (lenses[..., None] > 0))
    edge = cv2.GaussianBlur(frame, (0, 0), 0.6)[..., None] / np.float32(255)
    worn = person.image * light * (1 - edge) + rng.uniform(10, 70) * edge
    return Portrait(np.rint(worn).clip(0, 255).astype(np.uint8), person.landmarks)


def with_hands_at_eyes(person: Portrait) -> Portrait:
    """The same person while glasses are taken off: both eyes covered in the colour of the face."""
    right, left = (person.landmarks[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    along = left - right
    apart = float(np.linalg.norm(along))
    degrees = math.degrees(math.atan2(along[1], along[0]))
    size = 2.2 * apart, 0.9 * apart
    hands = np.zeros(person.image.shape[:2], np.float32)
    cv2.ellipse(hands, (((left + right) / 2).tolist(), size, degrees), 1.0, -1)
    share = cv2.GaussianBlur(hands, (0, 0), 0.05 * apart)[..., None]
    skin = np.median(person.image[_between(person.landmarks)].reshape(-1, 3), axis=0)
    covered = person.image * (1 - share) + 0.9 * skin * share
    return Portrait(np.rint(covered).clip(0, 255).astype(np.uint8), person.landmarks)


def _between(landmarks: Points) -> tuple[slice, slice]:
    """Rows and columns of nose and cheeks."""
    outer = landmarks[[36, 45, 30, 33]]  # eye corners, tip and foot of the nose
    left, top = np.maximum(outer.min(axis=0), 0).astype(int).tolist()
    right, bottom = outer.max(axis=0).astype(int).tolist()
    return slice(top, bottom + 1), slice(left, right + 1)


def _spectacles(
    size: tuple[int, ...], right: Points, left: Points, rng: np.random.Generator
) -> tuple[Image, Image]:
    """The frame and the lenses, ``(h, w)`` uint8, 255 where they are."""
    apart = float(np.linalg.norm(left - right))
    along = (left - right) / apart
    degrees = math.degrees(math.atan2(along[1], along[0]))
    rim_px = max(1, round(apart * rng.uniform(0.025, 0.06)))
    half_width, half_height = apart * rng.uniform(0.36, 0.42), apart * rng.uniform(0.27, 0.34)
    frame, lenses = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    drop = np.array([0, 0.04 * apart])
    for eye in (right, left):
        ellipse = ((eye + drop).tolist(), (2 * half_width, 2 * half_height), degrees)
        cv2.ellipse(lenses, ellipse, 255, -1)
        cv2.ellipse(frame, ellipse, 255, rim_px)
    bridge = right + half_width * along, left - half_width * along
    temples = [
        (eye + side * half_width * along, eye + side * (half_width + 0.35 * apart) * along)
        for eye, side in ((right, -1), (left, 1))
    ]
    for start, end in (bridge, *temples):
        first, last = (np.rint(point + drop).astype(int).tolist() for point in (start, end))
        cv2.line(frame, first, last, 255, rim_px)
    return frame, lenses
