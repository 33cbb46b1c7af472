"""Every model that a setting can name: its files, what it needs, and what its licence allows.

File names and addresses are those of DeepFace 0.0.103 and retina-face 0.0.19; a test compares
them. Checksums are given where the publisher gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from recognition.engine.models.dlib_default import EMBEDDED_MODEL_ID
from recognition.engine.types import EngineError

HOG = "hog"
YUNET = "yunet"
DLIB_68 = "dlib68"
MEDIAPIPE = "mediapipe"
FASNET = "Fasnet"


class Part(StrEnum):
    """What a model is for; each part has one setting."""

    DETECTOR = "detector"
    LANDMARKER = "landmarker"
    EMBEDDER = "embedder"
    ANTI_SPOOFING = "anti-spoofing"


class CommercialUse(StrEnum):
    """What code and weights together allow; ``UNCLEAR`` is for a lawyer to decide."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of weights.

    ``name`` is its path below the weights folder, ``addresses`` are tried in this order. What comes
    from an address that ends in ``.bz2`` is unpacked. ``sha256`` is of the unpacked file and is
    compared when it is fetched, empty where none is published. ``stand_ins`` serve as well where
    they are there and it is not. ``packaged``: the file of the installed package
    ``face_recognition_models`` that it is a copy of, so that nothing has to be fetched.
    """

    name: str
    addresses: tuple[str, ...]
    sha256: str = ""
    stand_ins: tuple[WeightFile, ...] = ()
    packaged: str = ""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """``files`` are empty where a package brings the weights; ``packages`` are importable names."""

    name: str
    part: Part
    licence: str
    commercial: CommercialUse
    files: tuple[WeightFile, ...] = ()
    packages: tuple[str, ...] = ()


def _released(name: str) -> WeightFile:
    """A graph that DeepFace publishes."""
    return WeightFile(
        name,
        (
            f"https://github.com/serengil/deepface_models/releases/download/v1.0/{name}",
            f"https://huggingface.co/serengil/deepface/resolve/main/{name}",
        ),
    )


def _of_opencv_zoo(folder: str, name: str, sha256: str) -> WeightFile:
    address = f"https://github.com/opencv/opencv_zoo/raw/main/models/{folder}/{name}"
    return WeightFile(name, (address,), sha256)


def _of_dlib(name: str, sha256: str) -> WeightFile:
    return WeightFile(name, (f"https://dlib.net/files/{name}.bz2",), sha256, packaged=name)


def _of_fasnet(stem: str, sha256_of_checkpoint: str) -> WeightFile:
    """DeepFace's graph, or the checkpoint that it was made from."""
    address = (
        "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing/raw/master/resources/"
        f"anti_spoof_models/{stem}.pth"
    )
    checkpoint = WeightFile(f"{stem}.pth", (address,), sha256_of_checkpoint)
    return replace(_released(f"{stem}.onnx"), stand_ins=(checkpoint,))


def _cascade(name: str) -> WeightFile:
    address = f"https://github.com/opencv/opencv/raw/4.9.0/data/haarcascades/{name}"
    return WeightFile(name, (address,))


def _yolo(name: str, address: str) -> KnownModel:
    return KnownModel(
        name,
        Part.DETECTOR,
        "AGPL-3.0 (Ultralytics)",
        CommercialUse.UNCLEAR,
        (WeightFile(f"{name}-face.pt", (address,)),),
        packages=("ultralytics",),
    )


def _yolo_of(owner: str, name: str) -> KnownModel:
    return _yolo(
        name, f"https://github.com/{owner}/yolo-face/releases/download/1.0.0/{name}-face.pt"
    )


def _detector(
    name: str, licence: str, commercial: CommercialUse, *files: WeightFile, package: str = ""
) -> KnownModel:
    packages = (package,) if package else ()
    return KnownModel(name, Part.DETECTOR, licence, commercial, files, packages)


def _embedder(name: str, licence: str, commercial: CommercialUse, *files: WeightFile) -> KnownModel:
    return KnownModel(name, Part.EMBEDDER, licence, commercial, files)


DETECTORS = (
    _detector(HOG, "Boost", CommercialUse.YES),
    _detector(
        YUNET,
        "MIT",
        CommercialUse.YES,
        replace(
            _of_opencv_zoo(
                "face_detection_yunet",
                "face_detection_yunet_2026may.onnx",
                "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
            ),
            stand_ins=(
                _of_opencv_zoo(
                    "face_detection_yunet",
                    "face_detection_yunet_2023mar.onnx",
                    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                ),
            ),
        ),
    ),
    _detector(
        "retinaface",
        "MIT code; InsightFace weights, research only",
        CommercialUse.NO,
        _released("retinaface.onnx"),
    ),
    _detector(
        "centerface",
        "MIT",
        CommercialUse.YES,
        WeightFile(
            "centerface.onnx",
            ("https://github.com/Star-Clouds/CenterFace/raw/master/models/onnx/centerface.onnx",),
        ),
    ),
    _detector(
        "dlib",
        "Boost; weights CC0",
        CommercialUse.YES,
        _of_dlib(
            "shape_predictor_5_face_landmarks.dat",
            "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
        ),
    ),
    _detector(
        "opencv",
        "Apache-2.0; cascades under the Intel licence",
        CommercialUse.YES,
        _cascade("haarcascade_frontalface_default.xml"),
        _cascade("haarcascade_eye.xml"),
    ),
    _detector(
        "ssd",
        "BSD",
        CommercialUse.YES,
        WeightFile(
            "deploy.prototxt",
            (
                "https://github.com/opencv/opencv/raw/3.4.0/samples/dnn/face_detector/"
                "deploy.prototxt",
            ),
        ),
        WeightFile(
            "res10_300x300_ssd_iter_140000.caffemodel",
            (
                "https://github.com/opencv/opencv_3rdparty/raw/"
                "dnn_samples_face_detector_20170830/res10_300x300_ssd_iter_140000.caffemodel",
            ),
        ),
    ),
    _detector("mtcnn", "MIT", CommercialUse.YES, package="mtcnn"),
    _detector("fastmtcnn", "MIT", CommercialUse.YES, package="facenet_pytorch"),
    _detector(MEDIAPIPE, "Apache-2.0", CommercialUse.YES, package="mediapipe"),
    _yolo("yolov8n", "https://drive.google.com/uc?id=1qcr9DbgsX3ryrz2uU8w4Xm3cOrRywXqb"),
    *(_yolo_of("YapaLab", name) for name in ("yolov8m", "yolov8l")),
    *(_yolo_of("akanametov", name) for name in ("yolov11n", "yolov11s", "yolov11m")),
    *(
        _yolo_of("YapaLab", name)
        for name in ("yolov11l", "yolov12n", "yolov12s", "yolov12m", "yolov12l")
    ),
)

LANDMARKERS = (
    KnownModel(DLIB_68, Part.LANDMARKER, "trained on iBUG 300-W, research only", CommercialUse.NO),
    KnownModel(
        MEDIAPIPE,
        Part.LANDMARKER,
        "Apache-2.0",
        CommercialUse.YES,
        (
            WeightFile(
                "face_landmarker.task",
                (
                    "https://storage.googleapis.com/mediapipe-models/face_landmarker/"
                    "face_landmarker/float16/1/face_landmarker.task",
                ),
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            ),
        ),
    ),
)

EMBEDDERS = (
    _embedder(EMBEDDED_MODEL_ID, "Boost; weights CC0", CommercialUse.YES),
    _embedder("VGG-Face", "CC BY-NC 4.0", CommercialUse.NO, _released("vgg_face_weights.onnx")),
    _embedder(
        "Facenet",
        "MIT; trained on MS-Celeb-1M",
        CommercialUse.UNCLEAR,
        _released("facenet_weights.onnx"),
    ),
    _embedder(
        "Facenet512",
        "MIT; trained on VGGFace2",
        CommercialUse.UNCLEAR,
        _released("facenet512_weights.onnx"),
    ),
    _embedder(
        "OpenFace",
        "Apache-2.0; trained on CASIA-WebFace and FaceScrub",
        CommercialUse.UNCLEAR,
        _released("openface_weights.onnx"),
    ),
    _embedder(
        "DeepFace",
        "MIT; trained on VGGFace2",
        CommercialUse.UNCLEAR,
        _released("VGGFace2_DeepFace_weights_val-0.9034.onnx"),
    ),
    _embedder("DeepID", "not stated", CommercialUse.UNCLEAR, _released("deepid_weights.onnx")),
    _embedder(
        "Dlib",
        "Boost; weights CC0",
        CommercialUse.YES,
        _of_dlib(
            "dlib_face_recognition_resnet_model_v1.dat",
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        ),
    ),
    _embedder(
        "ArcFace",
        "MIT code; InsightFace weights, research only",
        CommercialUse.NO,
        _released("arcface_weights.onnx"),
    ),
    _embedder(
        "SFace",
        "Apache-2.0",
        CommercialUse.YES,
        _of_opencv_zoo(
            "face_recognition_sface",
            "face_recognition_sface_2021dec.onnx",
            "f6abbfff9575e3041db692c1e29d782e995191888477fd59ebc81202d99fc63b",
        ),
    ),
    _embedder(
        "GhostFaceNet",
        "MIT; trained on MS1MV3",
        CommercialUse.UNCLEAR,
        _released("ghostfacenet_v1.onnx"),
    ),
    _embedder(
        "Buffalo_L",
        "InsightFace, research only",
        CommercialUse.NO,
        WeightFile(
            "buffalo_l/webface_r50.onnx",
            (
                "https://drive.google.com/uc?export=download&confirm=pbef"
                "&id=1N0GL-8ehw_bz2eZQWz2b0A5XBdXdxZhg",
            ),
        ),
    ),
)

ANTI_SPOOFING = (
    KnownModel(
        FASNET,
        Part.ANTI_SPOOFING,
        "Apache-2.0",
        CommercialUse.YES,
        (
            _of_fasnet(
                "2.7_80x80_MiniFASNetV2",
                "a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0",
            ),
            _of_fasnet(
                "4_0_0_80x80_MiniFASNetV1SE",
                "84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990",
            ),
        ),
    ),
)

CATALOGUE = (*DETECTORS, *LANDMARKERS, *EMBEDDERS, *ANTI_SPOOFING)


def known_names(part: Part) -> tuple[str, ...]:
    return tuple(model.name for model in CATALOGUE if model.part == part)


def known_model(part: Part, name: str) -> KnownModel:
    """Raises ``EngineError`` with ``unknown_model``, which lists the known ones."""
    for model in CATALOGUE:
        if (model.part, model.name) == (part, name):
            return model
    raise EngineError(
        "unknown_model",
        f"No {part} is called {name!r}; known are: {', '.join(known_names(part))}.",
    )
