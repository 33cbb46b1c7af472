"""A picture's head, turned, nodded and with the mouth opened, by the depth that heads have.

Images are ``(h, w, 3)`` uint8 RGB, landmarks ``(68, 2)`` in iBUG 300-W order. Depths and the head's
own coordinates are those of `geometry.HEAD_MODEL`: hundredths of the distance between the outer eye
corners, x to the right edge of the image, y down, z away from the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from recognition.engine.geometry import HEAD_MODEL, RIGID_POINTS, head_pose
from recognition.engine.types import Image, Points, Pose

Floats = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]

# The z of all 68 landmarks: by least squares under the cameras that HEAD_MODEL gives, made
# symmetric, from dlib's landmarks on 1199 pictures of LFW; those of the model come out within 2
# hundredths of it.
_JAW_Z = (73, 68, 66, 64, 57, 45, 32, 18, 13, 18, 32, 45, 57, 64, 66, 68, 73)
_BROWS_Z = (26, 15, 7, 0, -5, -5, 0, 7, 15, 26)
_NOSE_Z = (-7.6, -14.7, -23.4, -31.6, -8.7, -12.9, -15.9, -12.9, -8.7)
_EYES_Z = (17.4, 12.6, 11, 11.9, 11.8, 13.2, 11.9, 11, 12.6, 17.4, 13.2, 11.8)
_OUTER_LIPS_Z = (17.9, 2.3, -5.9, -7.6, -5.9, 2.3, 17.9, 5.9, -2.3, -4, -2.3, 5.9)
_INNER_LIPS_Z = (15.1, -4.2, -6.4, -4.2, 15.1, -3.1, -4.8, -3.1)
_LANDMARKS_Z: Floats = np.array(
    _JAW_Z + _BROWS_Z + _NOSE_Z + _EYES_Z + _OUTER_LIPS_Z + _INNER_LIPS_Z, float
)

# Where no landmarks are: forehead, crown, temples, ears, cheekbones, neck.
_SKULL: Floats = np.array(
    [
        *((x, -88, 14) for x in (-35, 35)),
        (0, -92, 3),
        *((x, -80, 52) for x in (-66, 66)),
        (0, -125, 35),
        *((x, -122, 62) for x in (-48, 48)),
        *((x, -120, 95) for x in (-90, 90)),
        (0, -160, 100),
        *((x, -35, 95) for x in (-106, 106)),
        *((x, 20, 92) for x in (-104, 104)),
        *((x, 85, 90) for x in (-92, 92)),
        *((x, -4, 18) for x in (-45, 45)),
        *((x, 135, 95) for x in (-45, 45)),
        (0, 130, 80),
    ]
)

# The head turns about the top of the spine: below and between the ears.
_PIVOT: Floats = np.array([0.0, 10.0, 100.0])
_CAMERA_DISTANCE = 620.0  # 55 cm, from the eyes' plane
# Beyond this ellipse about the pivot nothing moves; inside the smaller one everything does.
_STILL_BEYOND = (165.0, 215.0)
_MOVES_WITHIN = 0.6
_GRID_STEP = 5.0
_DEPTH_BLUR_STEPS = 1.2
_STIFFNESS = 20.0  # smooths away what two landmarks too near each other would tear
_APART = 18.0  # a point of the skull that a turned head shows nearer to a landmark is left out
_INVERSION_STEPS = 10
_CELL_PX = 8  # the warp is worked out for one point in so many, each way
_LARGEST_TURN = 45.0

# How far an open mouth lowers the chin, in its distances from the lips, and over how many of them
# the skin below gives way; how far to either side the jaw goes, in widths of the mouth.
_JAW_DROP = 0.55
_NECK_REACH = 1.3
_JAW_HALF_WIDTH = 1.25
_LIP_CURVE = 0.75
_INSIDE_OF_MOUTH = (0.28, 0.14, 0.14)  # of the mean colour around it


class TurningHead:
    """The warp that turns the head of one picture.

    Raises ``ValueError`` where the landmarks fell together.
    """

    def __init__(self, landmarks: Points, *, width: int, height: int) -> None:
        self._pose = head_pose(landmarks)
        scale, middle = _scale_and_middle(landmarks)
        if not scale > 0:
            raise ValueError("got landmarks that fell together, expected those of a face")
        self._rotation = _rotation(self._pose)
        self._pivot = middle + scale * (self._rotation @ _PIVOT)[:2]
        self._pivot_z = scale * float((self._rotation @ _PIVOT)[2])
        self._distance = scale * _CAMERA_DISTANCE
        self._step = max(2.0, scale * _GRID_STEP)
        xs = np.arange(0, width + self._step, self._step)
        ys = np.arange(0, height + self._step, self._step)
        self._grid = np.stack(np.meshgrid(xs, ys), axis=-1)
        self._depth = self._depth_field(landmarks, scale, middle)
        self._share = self._moving_share(scale)

    def turned(
        self, picture: Image, motion: Floats, size: tuple[int, int], *, yaw: float, pitch: float
    ) -> Image:
        """The picture with its head turned, then moved by ``motion`` into a frame.

        ``motion`` is the ``(2, 3)`` affine from the picture to the frame of ``size``, width and
        height in pixels. The angles are degrees, added to those of the picture's own pose, with the
        signs of `types.Pose`. Raises ``ValueError`` for more than 45 degrees: nobody knows what is
        behind the cheek.
        """
        for name, angle in (("yaw", yaw), ("pitch", pitch)):
            if not abs(angle) <= _LARGEST_TURN:
                raise ValueError(
                    f"got {name}={angle}, expected -{_LARGEST_TURN} to {_LARGEST_TURN}"
                )
        width, height = size
        # One cell more on each side, so that no border is filled from outside.
        xs, ys = (
            (np.arange(-1, -(-side // _CELL_PX) + 1) + 0.5) * _CELL_PX - 0.5
            for side in (width, height)
        )
        inverse = cv2.invertAffineTransform(motion)
        points = np.stack(np.meshgrid(xs, ys), axis=-1) @ inverse[:, :2].T + inverse[:, 2]
        found = self._sources(points.astype(np.float32), yaw=yaw, pitch=pitch)
        fine = cv2.resize(found, None, fx=_CELL_PX, fy=_CELL_PX, interpolation=cv2.INTER_LINEAR)
        inside = fine[_CELL_PX : _CELL_PX + height, _CELL_PX : _CELL_PX + width]
        return np.asarray(
            cv2.remap(
                picture,
                inside[..., 0],
                inside[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )

    def _sources(self, points: Field, *, yaw: float, pitch: float) -> Field:
        """Where the picture has what a head turned by so much shows at ``points``.

        ``(h, w, 2)`` float32 of x, y in pixels, both ways; by fixed-point iteration.
        """
        shift = self._shift(yaw, pitch)
        found = points
        for _ in range(_INVERSION_STEPS):
            at = found / np.float32(self._step)
            found = points - cv2.remap(
                shift, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        return np.asarray(found, np.float32)

    def _shift(self, yaw: float, pitch: float) -> Field:
        """How far each point of the grid moves, ``(rows, columns, 2)`` pixels."""
        pose = Pose(self._pose.yaw + yaw, self._pose.pitch + pitch, self._pose.roll)
        turn = _rotation(pose) @ self._rotation.T
        # From the picture back along its own rays, turned, and through the lens again.
        z = self._depth
        near = (self._distance + z) / self._distance
        x, y = ((self._grid[..., axis] - self._pivot[axis]) * near for axis in (0, 1))
        turned = np.stack([x, y, z - self._pivot_z], axis=-1) @ turn.T
        lens = self._distance / (self._distance + self._pivot_z + turned[..., 2])
        moved = turned[..., :2] * lens[..., None] + self._pivot
        return ((moved - self._grid) * self._share).astype(np.float32)

    def _depth_field(self, landmarks: Points, scale: float, middle: Floats) -> Floats:
        """Distance behind the plane through the origin of the head's coordinates, in pixels."""
        skull = _SKULL @ self._rotation.T
        seen = (landmarks - middle) / scale
        heads = np.column_stack([self._head_coordinates(seen), _LANDMARKS_Z])
        apart = np.linalg.norm(skull[:, None, :2] - seen, axis=-1).min(axis=1) > _APART
        places = np.concatenate([seen, skull[apart, :2]])
        depths = np.concatenate([heads @ self._rotation[2], skull[apart, 2]])
        surface = RBFInterpolator(places, depths, smoothing=_STIFFNESS, kernel="thin_plate_spline")
        grid = (self._grid - middle) / scale
        field = surface(grid.reshape(-1, 2)).reshape(grid.shape[:2])
        # Far from the last known point a thin plate goes on rising for ever.
        field = scale * np.clip(field, depths.min(), depths.max())
        return np.asarray(cv2.GaussianBlur(field, (0, 0), _DEPTH_BLUR_STEPS), np.float64)

    def _head_coordinates(self, seen: Floats) -> Floats:
        """x and y of the landmarks in the head's own coordinates, their z being known."""
        rows = self._rotation[:2]
        beside_z = seen - np.outer(_LANDMARKS_Z, rows[:, 2])
        return np.asarray(np.linalg.solve(rows[:, :2], beside_z.T).T, np.float64)

    def _moving_share(self, scale: float) -> Floats:
        """1 on the head, falling to 0 where the picture stays as it is; ``(rows, columns, 1)``."""
        away = (self._grid - self._pivot) / (scale * np.array(_STILL_BEYOND))
        beyond = (np.linalg.norm(away, axis=-1) - _MOVES_WITHIN) / (1 - _MOVES_WITHIN)
        rest = np.clip(1 - beyond, 0, 1)
        return (rest * rest * (3 - 2 * rest))[..., None]


def mouth_opened(image: Image, landmarks: Points, opening: float) -> Image:
    """A copy with lower lip, chin and jaw lowered and the mouth dark inside.

    ``opening`` 0 leaves it, 1 lowers the chin by half of its distance from the lips. What lies
    above the lower lip, such as the teeth of a smile, stays with the skull. Raises ``ValueError``
    for an opening outside 0 to 1.
    """
    if not 0.0 <= opening <= 1.0:
        raise ValueError(f"got opening={opening}, expected 0 (as it is) to 1 (wide open)")
    opened = image.copy()
    jaw = _Jaw.of(landmarks)
    if opening == 0 or jaw is None:
        return opened
    left, top, right, bottom = _clipped(jaw.corners(), image)
    if right - left < _CELL_PX or bottom - top < _CELL_PX:
        return opened
    columns, rows = np.meshgrid(
        np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    )
    u, v = jaw.coordinates(columns, rows)
    shift = jaw.came_down_by(u, v, opening)
    moved = cv2.remap(
        image,
        columns - shift * jaw.down[0],
        rows - shift * jaw.down[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    still = image[top:bottom, left:right]
    lip_edge = jaw.lip_edge(u)
    from_below = np.clip(v - shift - lip_edge + 0.5, 0, 1)[..., None]
    from_above = np.clip(lip_edge - v + 0.5, 0, 1)[..., None] * (1 - from_below)
    inside = still.mean(axis=(0, 1)) * _INSIDE_OF_MOUTH
    mixed = from_below * moved + from_above * still + (1 - from_below - from_above) * inside
    opened[top:bottom, left:right] = np.rint(mixed)
    return opened


@dataclass(frozen=True, slots=True)
class _Jaw:
    """Mouth and jaw of one picture, in the mouth's own axes: u along it, v down, from its middle.

    ``split`` are the coefficients of the lower lip's upper edge, v as a polynomial of u; lengths
    are in pixels.
    """

    middle: Points
    along: Points
    down: Points
    width: float
    half_inner_width: float
    chin: float
    split: Floats

    @classmethod
    def of(cls, landmarks: Points) -> _Jaw | None:
        """None where the mouth's corners fell together."""
        across = landmarks[54] - landmarks[48]
        width = float(np.linalg.norm(across))
        if width < 2:
            return None
        along = across / width
        down = np.array([-along[1], along[0]], np.float32)
        middle = (landmarks[60] + landmarks[64]) / 2
        lower_lip = landmarks[[60, 67, 66, 65, 64]] - middle
        return cls(
            middle=middle,
            along=along,
            down=down,
            width=width,
            half_inner_width=max(1.0, float((landmarks[64] - landmarks[60]) @ along) / 2),
            chin=max(float((landmarks[8] - middle) @ down), 0.3 * width),
            split=np.polyfit(lower_lip @ along, lower_lip @ down, 2),
        )

    def corners(self) -> Floats:
        """Of what moves when the mouth opens, ``(4, 2)`` pixels of the picture."""
        reach = _JAW_HALF_WIDTH * self.width
        return np.array(
            [
                self.middle + side * reach * self.along + share * self.chin * self.down
                for side in (-1, 1)
                for share in (-0.4, 1 + _NECK_REACH)
            ],
            np.float64,
        )

    def coordinates(self, columns: Field, rows: Field) -> tuple[Field, Field]:
        x, y = columns - self.middle[0], rows - self.middle[1]
        return x * self.along[0] + y * self.along[1], x * self.down[0] + y * self.down[1]

    def lip_edge(self, u: Field) -> Field:
        return np.asarray(np.polyval(self.split, u), np.float32)

    def came_down_by(self, u: Field, v: Field, opening: float) -> Field:
        """At each point of the open face: how far what it shows has come down."""
        size = max(2, u.shape[1] // 4), max(2, u.shape[0] // 4)
        few_u, few_v = (np.asarray(cv2.resize(axis, size), np.float32) for axis in (u, v))
        shift = np.zeros_like(few_v)
        for _ in range(_INVERSION_STEPS):
            shift = self._goes_down_by(few_u, few_v - shift, opening)
        return np.asarray(cv2.resize(shift, u.shape[::-1]), np.float32)

    def _goes_down_by(self, u: Field, v: Field, opening: float) -> Field:
        """How far the jaw takes a point of the closed face down.

        The lip opens between the corners of the mouth; towards the chin the whole jaw goes along,
        and below it the skin gives way.
        """
        lip = np.clip(1 - (u / self.half_inner_width) ** 2, 0, 1) ** _LIP_CURVE
        jaw = 1 - _smooth(np.abs(u) / (_JAW_HALF_WIDTH * self.width))
        to_chin = _smooth((v - self.lip_edge(u)) / self.chin)
        below = 1 - _smooth((v - self.chin) / (_NECK_REACH * self.chin))
        most = opening * _JAW_DROP * self.chin
        return np.asarray(most * (lip + (jaw - lip) * to_chin) * below, np.float32)


def _smooth(share: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """From 0 to 1 without a kink at either end."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _clipped(corners: Floats, image: Image) -> tuple[int, int, int, int]:
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).tolist()
    return max(0, left), max(0, top), min(image.shape[1], right), min(image.shape[0], bottom)


def _scale_and_middle(landmarks: Points) -> tuple[float, Floats]:
    """Pixels per hundredth, and where the origin of the head's coordinates is seen."""
    points = landmarks[list(RIGID_POINTS)].astype(np.float64)
    model = HEAD_MODEL - HEAD_MODEL.mean(axis=0)
    camera = np.linalg.lstsq(model, points - points.mean(axis=0), rcond=None)[0].T
    left, sizes, right = np.linalg.svd(camera, full_matrices=False)
    scale = float(sizes.mean())
    return scale, points.mean(axis=0) - scale * (left @ right) @ HEAD_MODEL.mean(axis=0)


def _rotation(pose: Pose) -> Floats:
    """From the head's coordinates to the camera's: it leans, then nods, then turns."""
    yaw, pitch, roll = (math.radians(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    turns = np.array(
        [
            [math.cos(yaw), 0, -math.sin(yaw)],
            [0, 1, 0],
            [math.sin(yaw), 0, math.cos(yaw)],
        ]
    )
    nods = np.array(
        [
            [1, 0, 0],
            [0, math.cos(pitch), math.sin(pitch)],
            [0, -math.sin(pitch), math.cos(pitch)],
        ]
    )
    leans = np.array(
        [
            [math.cos(roll), -math.sin(roll), 0],
            [math.sin(roll), math.cos(roll), 0],
            [0, 0, 1],
        ]
    )
    return np.asarray(turns @ nods @ leans, np.float64)
