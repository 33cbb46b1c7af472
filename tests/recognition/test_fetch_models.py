"""Files of models are fetched ahead, from a real server on this machine."""

from __future__ import annotations

import bz2
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from recognition.engine.dlib_resnet import weights_file
from recognition.engine.models import downloads
from recognition.engine.models.catalogue import Part, WeightFile, known_model
from recognition.engine.models.deepface_models import load_deepface_embedder
from recognition.engine.models.weights import kept_checksum, sha256_of, weights_folder
from recognition.engine.types import EngineError
from tests.support.file_server import FileServer, serving
from tests.support.small_graphs import EMBEDDER_GRAPHS, embedder_graph

NAME = "facenet_weights.onnx"
GRAPH = embedder_graph(EMBEDDER_GRAPHS["Facenet"])


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    settings.MODEL_CACHE_DIR = tmp_path
    return weights_folder(tmp_path)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer({NAME: GRAPH})) as running:
        yield running


def fetch_models(*arguments: str) -> str:
    output = io.StringIO()
    call_command("fetch_models", *arguments, stdout=output)
    return output.getvalue()


def a_file(server: FileServer, **fields: str) -> WeightFile:
    return WeightFile(NAME, (f"{server.url}/{NAME}",), **fields)


def unheard(done: int, total: int | None) -> None:
    """Nobody listens."""


def test_a_model_is_fetched_with_its_checksum_and_can_be_loaded(server, folder, tmp_path):
    printed = fetch_models("Facenet", "--from", server.url)

    assert (folder / NAME).read_bytes() == GRAPH
    assert kept_checksum(folder / NAME) == sha256_of(folder / NAME)
    assert sorted(path.name for path in folder.iterdir()) == [NAME, f"{NAME}.sha256"]
    assert "SHA-256 kept" in printed
    assert load_deepface_embedder("Facenet", model_cache_dir=tmp_path).dimensions == 128


def test_what_is_there_is_not_fetched_again(server):
    fetch_models("Facenet", "--from", server.url)
    printed = fetch_models("Facenet", "--from", server.url)

    assert server.requests == [(f"/{NAME}", "")]
    assert f"{NAME} is there and whole" in printed


def test_what_was_interrupted_goes_on_where_it_stopped(server, folder):
    server.break_after = 10_000
    with pytest.raises(CommandError, match=f"the connection ended after 10000 of {len(GRAPH)}"):
        fetch_models("Facenet", "--from", server.url)
    assert (folder / f"{NAME}.part").stat().st_size == 10_000
    assert not (folder / NAME).exists()

    fetch_models("Facenet", "--from", server.url)

    assert server.requests == [(f"/{NAME}", ""), (f"/{NAME}", "bytes=10000-")]
    assert (folder / NAME).read_bytes() == GRAPH


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server, folder):
    server.break_after = 10_000
    with pytest.raises(CommandError):
        fetch_models("Facenet", "--from", server.url)
    server.files[NAME] = newer = embedder_graph(EMBEDDER_GRAPHS["Facenet"], seed=9)

    fetch_models("Facenet", "--from", server.url)

    assert server.requests[-1] == (f"/{NAME}", "bytes=10000-")
    assert (folder / NAME).read_bytes() == newer


def test_a_server_without_ranges_begins_again(server, folder):
    server.break_after, server.knows_ranges = 10_000, False
    with pytest.raises(CommandError):
        fetch_models("Facenet", "--from", server.url)

    fetch_models("Facenet", "--from", server.url)

    assert (folder / NAME).read_bytes() == GRAPH


def test_a_part_that_is_as_long_as_the_whole_is_fetched_again(server, folder):
    """Somebody ended the command between the last byte and the new name."""
    server.break_after = len(GRAPH) - 1
    with pytest.raises(CommandError):
        fetch_models("Facenet", "--from", server.url)
    (folder / f"{NAME}.part").write_bytes(GRAPH)

    fetch_models("Facenet", "--from", server.url)

    assert (folder / NAME).read_bytes() == GRAPH


def test_a_damaged_file_is_fetched_again(server, folder):
    fetch_models("Facenet", "--from", server.url)
    (folder / NAME).write_bytes(GRAPH[:1000])

    printed = fetch_models("Facenet", "--from", server.url)

    assert f"{NAME} (1000 bytes) cannot be used" in printed
    assert (folder / NAME).read_bytes() == GRAPH


def test_a_file_that_was_brought_by_hand_gets_its_checksum(server, folder):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(GRAPH)

    printed = fetch_models("Facenet", "--from", server.url)

    assert server.requests == []
    assert "its SHA-256 is kept from now on" in printed
    assert kept_checksum(folder / NAME) == sha256_of(folder / NAME)


def test_the_wrong_file_brought_by_hand_is_told(server, folder):
    """SFace's checksum is published."""
    (file,) = known_model(Part.EMBEDDER, "SFace").files
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(b"something else")

    with pytest.raises(CommandError, match="404 Not Found"):
        fetch_models("SFace", "--from", server.url)
    assert kept_checksum(folder / file.name) == ""


def test_without_internet_everything_to_bring_by_hand_is_told(folder, tmp_path):
    nobody = "http://127.0.0.1:9"

    with pytest.raises(CommandError) as refusal:
        fetch_models("Facenet", "ArcFace", "--from", nobody)

    told = str(refusal.value)
    for name, model in ((NAME, "Facenet"), ("arcface_weights.onnx", "ArcFace")):
        (file,) = known_model(Part.EMBEDDER, model).files
        assert f"{model} (embedder): {name} could not be fetched" in told
        assert "it cannot be reached" in told
        assert all(f"from {address}" in told for address in file.addresses)
        assert f"to   {folder / name}" in told
    assert "bring them to these places" in told


def test_the_list_asks_nobody(server, folder):
    printed = fetch_models("SFace", "--list", "--from", server.url)

    (file,) = known_model(Part.EMBEDDER, "SFace").files
    for words in ("missing", str(folder / file.name), file.addresses[0], file.sha256):
        assert words in printed
    assert server.requests == []


def test_dlibs_weights_come_from_the_installed_package(server, folder):
    fetch_models("Dlib", "--from", server.url)

    assert (folder / weights_file().name).read_bytes() == weights_file().read_bytes()
    assert server.requests == []


def test_without_a_name_the_models_of_the_settings_are_fetched(server, settings, folder):
    settings.RECOGNITION_MODEL = "Facenet"
    fetch_models("--from", server.url)
    assert (folder / NAME).is_file()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        CommandError, match=r"Unknown: Facenet1024\. Known models are: hog, .*SFace"
    ):
        fetch_models("Facenet1024")


def test_a_web_page_is_no_file(server, folder):
    server.as_web_page = True
    with pytest.raises(CommandError, match="a web page, not a file"):
        fetch_models("Facenet", "--from", server.url)
    assert not (folder / NAME).exists()


def test_what_has_another_checksum_than_published_is_thrown_away(server, folder):
    with pytest.raises(EngineError, match=f"SHA-256 .*, expected {'0' * 64}") as refusal:
        downloads.fetch(a_file(server, sha256="0" * 64), folder, progress=unheard)

    assert refusal.value.code == "download_failed"
    assert list(folder.iterdir()) == []


def test_the_second_address_is_asked_where_the_first_fails(server, folder):
    file = WeightFile(NAME, (f"{server.url}/gone.onnx", f"{server.url}/{NAME}"))

    downloads.fetch(file, folder, progress=unheard)

    assert [path for path, _ in server.requests] == ["/gone.onnx", f"/{NAME}"]
    assert (folder / NAME).read_bytes() == GRAPH


def test_a_packed_file_is_unpacked(server, folder):
    server.files[f"{NAME}.bz2"] = bz2.compress(GRAPH)
    file = WeightFile(NAME, (f"{server.url}/{NAME}.bz2",))

    downloads.fetch(file, folder, progress=unheard)

    assert (folder / NAME).read_bytes() == GRAPH


def test_a_broken_packed_file_is_thrown_away(server, folder):
    server.files[f"{NAME}.bz2"] = bz2.compress(GRAPH)[:-100]
    file = WeightFile(NAME, (f"{server.url}/{NAME}.bz2",))

    with pytest.raises(EngineError, match="could not be fetched"):
        downloads.fetch(file, folder, progress=unheard)
    assert list(folder.iterdir()) == []


def test_progress_goes_from_nothing_to_the_whole(server, folder):
    told: list[tuple[int, int | None]] = []

    downloads.fetch(a_file(server), folder, progress=lambda *so_far: told.append(so_far))

    assert told[0] == (0, len(GRAPH))
    assert told[-1] == (len(GRAPH), len(GRAPH))
    assert told == sorted(told)


def test_only_the_web_is_asked(folder, tmp_path):
    (tmp_path / "secret").write_text("no")
    file = WeightFile(NAME, (f"file://{tmp_path}/secret",))
    with pytest.raises(EngineError, match="only http and https"):
        downloads.fetch(file, folder, progress=unheard)
