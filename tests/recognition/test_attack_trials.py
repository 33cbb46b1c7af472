"""Simulated attacks through the real engine and dialogue, and what is told of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from recognition.attack_report import DISCLAIMER, Outcome, Rate, Report
from recognition.attack_trials import AttackPlan, KeptOutcomes, trials_of
from recognition.engine.analysis import Analyser
from recognition.engine.attacks.people import Candidate, Unsuitable, candidate
from recognition.engine.attacks.species import Species, live_clip
from recognition.engine.attacks.trials import (
    Baselines,
    Line,
    Trial,
    Verdict,
    play,
    play_for_baselines,
)
from recognition.engine.images import decode_photo
from recognition.engine.liveness.actions import Level
from recognition.engine.models import ModelChoice, load_models
from recognition.engine.types import Box, FrameAnalysis, FrameRequest, Image
from tests.support.portraits import astronaut
from tests.support.shared import LFW, lfw_pictures, needs_faces


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser(load_models(ModelChoice(), model_cache_dir=settings.MODEL_CACHE_DIR))


@pytest.fixture(scope="module")
def eileen(analyser: Analyser) -> Candidate:
    found = candidate(astronaut(), analyser)
    assert isinstance(found, Candidate)
    return found


def trial(species: Species | None, who: Candidate, *, seed: int = 1) -> Trial:
    return Trial(
        species,
        seed,
        who.portrait,
        who.embedding,
        attacker=who.portrait if species else None,
        attacker_embedding=who.embedding if species else None,
    )


# Clips through the engine


@pytest.mark.parametrize("level", Level)
def test_a_living_person_gets_in(analyser: Analyser, eileen: Candidate, level: Level) -> None:
    verdict = play(trial(None, eileen, seed=2), analyser, level)

    assert (verdict.accepted, verdict.reason) == (True, "")
    assert verdict.trace["passive"]
    assert verdict.after_ms < 20_000


def test_frames_are_on_their_way_for_longer_or_shorter_and_none_overtakes_another() -> None:
    taken_ms = [80.0 * number for number in range(200)]
    means = []
    for seed in range(20):
        line = Line(seed)
        arrived_ms = [line.arrives_ms(one) for one in taken_ms]
        assert arrived_ms == sorted(arrived_ms)
        took_ms = [arrived - taken for arrived, taken in zip(arrived_ms, taken_ms, strict=True)]
        assert min(took_ms) >= 0
        means.append(sum(took_ms) / len(took_ms))

    assert min(means) < 8
    assert 18 < max(means) < 40


def test_a_print_does_not_get_in(analyser: Analyser, eileen: Candidate) -> None:
    verdict = play(trial(Species.PRINT, eileen, seed=5), analyser, Level.CHALLENGE)

    assert not verdict.accepted
    assert verdict.reason


def test_the_usual_way_counts_a_slow_blink_of_anybody(
    analyser: Analyser, eileen: Candidate
) -> None:
    # It asks for three frames in a row, and at 12 a second only slow blinks have them.
    live = play_for_baselines(trial(None, eileen, seed=11), analyser, None)
    printed = play_for_baselines(trial(Species.PRINT, eileen, seed=11), analyser, None)

    assert live == Baselines(blink=True, spoof_model=None)
    assert printed == Baselines(blink=False, spoof_model=None)


class Convinced:
    """A model that always says the same, and remembers what it was shown."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence
        self.shown: list[tuple[tuple[int, ...], Box]] = []

    def live_confidence(self, frame: Image, box: Box) -> float:
        self.shown.append((frame.shape, box))
        return self.confidence


@pytest.mark.parametrize(("confidence", "says"), [(0.6, True), (0.4, False)])
def test_the_model_sees_whole_frames_and_the_face_in_them(
    analyser: Analyser, eileen: Candidate, confidence: float, says: bool
) -> None:
    model = Convinced(confidence)
    said = play_for_baselines(trial(None, eileen, seed=3), analyser, model)

    assert said.spoof_model is says
    assert len(model.shown) == 5
    assert {shape for shape, _box in model.shown} == {(480, 640, 3)}
    assert all(box.height > 96 for _shape, box in model.shown)


def test_an_attack_needs_an_attacker(eileen: Candidate) -> None:
    with pytest.raises(ValueError, match="without an attacker"):
        Trial(Species.PRINT, 1, eileen.portrait, eileen.embedding).clip(Level.CHALLENGE)


# People


def test_a_picture_without_a_face_is_unsuitable(analyser: Analyser) -> None:
    assert candidate(astronaut()[:80, :80], analyser) is Unsuitable.NO_SINGLE_FACE


@pytest.mark.parametrize(("share", "suitable"), [(0.3, True), (0.8, False)])
def test_a_picture_with_somebody_whom_the_kiosk_would_send_away_is_unsuitable(
    analyser: Analyser, monkeypatch: pytest.MonkeyPatch, share: float, suitable: bool
) -> None:
    found_alone = analyser.analyse_frame

    def found_with_another(jpeg: bytes, request: FrameRequest) -> FrameAnalysis:
        analysis = found_alone(jpeg, request)
        face = analysis.faces[0]
        side_px = round(share * face.box.height)
        another = replace(face, box=Box(0, 0, side_px, side_px))
        return replace(analysis, faces=(face, another))

    monkeypatch.setattr(analyser, "analyse_frame", found_with_another)
    found = candidate(astronaut(), analyser)

    assert isinstance(found, Candidate) if suitable else found is Unsuitable.NO_SINGLE_FACE


@needs_faces
def test_people_whose_drawn_lids_are_not_seen_are_left_out_and_told_why(
    analyser: Analyser,
) -> None:
    found = [
        candidate(decode_photo(paths[0].read_bytes()), analyser)
        for paths in list(lfw_pictures().values())[::60]
    ]

    assert any(isinstance(one, Candidate) for one in found)
    assert any(isinstance(one, Unsuitable) for one in found)


# The plan


def test_the_halves_share_nobody_and_leave_nobody_out() -> None:
    names = [f"person {number}" for number in range(31)]
    tuning = AttackPlan(tuning=True).half_of(names)
    reported = AttackPlan(tuning=False).half_of(names)

    assert not set(tuning) & set(reported)
    assert set(tuning) | set(reported) == set(names)
    assert abs(len(tuning) - len(reported)) <= 1


def test_who_limits_were_chosen_on_is_in_no_report_whatever_the_seed() -> None:
    names = [f"person {number}" for number in range(40)]
    tuning = set(AttackPlan(tuning=True).half_of(names))

    for seed in range(2, 12):
        assert not tuning & set(AttackPlan(seed=seed).half_of(names))
        assert set(AttackPlan(seed=seed, tuning=True).half_of(names)) == tuning


def test_a_kiosk_takes_twelve_frames_a_second_of_a_quicker_camera(
    analyser: Analyser, eileen: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    for fps in (30.0, 8.0):
        monkeypatch.setattr(
            Trial,
            "clip",
            lambda trial, _level, fps=fps: live_clip(trial.person, trial.seed, fps=fps),
        )
        verdict = play(trial(None, eileen, seed=2), analyser, Level.BLINK)
        rates.append(verdict.frames / verdict.after_ms * 1000)

    assert 9 < rates[0] <= 12.5
    assert rates[1] == pytest.approx(8, rel=0.1)


# What is kept


def test_what_was_played_is_not_played_again_and_comes_out_the_same(
    tmp_path: Path, eileen: Candidate
) -> None:
    trials = trials_of(
        dict.fromkeys("abcd", eileen), AttackPlan(species=(Species.PRINT,), clips=2, live_clips=1)
    )
    played = [
        replace(outcome(named.trial.species, accepted=False, reason="flat"), seed=named.trial.seed)
        for named in trials[:2]
    ]
    kept = KeptOutcomes(tmp_path / "kept.jsonl", {"seed": 1})
    for one in played:
        kept.add(one)

    again = KeptOutcomes(tmp_path / "kept.jsonl", {"seed": 1})

    assert [one.figures() for one in again.of(trials)] == [one.figures() for one in played]
    assert again.of(trials[2:]) == []


def test_outcomes_of_other_clips_or_limits_are_not_mixed(tmp_path: Path) -> None:
    KeptOutcomes(tmp_path / "kept.jsonl", {"limits": "old"})

    with pytest.raises(ValueError, match="other clips or limits"):
        KeptOutcomes(tmp_path / "kept.jsonl", {"limits": "new"})


def test_a_plan_gives_each_species_its_clips_and_nobody_attacks_as_themselves(
    eileen: Candidate,
) -> None:
    plan = AttackPlan(species=(Species.PRINT, Species.FACE_SWAP), clips=7, live_clips=5)
    trials = trials_of(dict.fromkeys("abcd", eileen), plan)
    kinds = [one.trial.species for one in trials]

    assert (kinds.count(Species.PRINT), kinds.count(Species.FACE_SWAP), kinds.count(None)) == (
        7,
        7,
        5,
    )
    assert all(one.person != one.attacker for one in trials)
    assert len({one.trial.seed for one in trials}) == len(trials)
    assert [one.trial.seed for one in trials] == [
        one.trial.seed for one in trials_of(dict.fromkeys("abcd", eileen), plan)
    ]


# The report


def outcome(
    species: Species | None, *, accepted: bool, reason: str = "", model: bool | None = None
) -> Outcome:
    return Outcome(
        species,
        person="A",
        attacker="B" if species else "",
        seed=1,
        fps=10.0,
        verdicts={Level.CHALLENGE: Verdict(accepted, reason, 1234.5, 12, {"tries": 1})},
        baselines=Baselines(blink=True, spoof_model=model),
    )


@pytest.fixture
def report() -> Report:
    outcomes = [outcome(Species.PRINT, accepted=False, reason="flat") for _ in range(149)]
    outcomes.append(outcome(Species.PRINT, accepted=True))
    outcomes += [outcome(None, accepted=True) for _ in range(19)]
    outcomes.append(outcome(None, accepted=False, reason="<jump>"))
    return Report(outcomes, {"people": 40}, {Unsuitable.TURNED: 3})


@pytest.mark.parametrize(
    ("rate", "interval"),
    [
        (Rate(0, 150), (0.0, 0.0243)),  # 1 - 0.025 ** (1 / 150)
        (Rate(150, 150), (0.9757, 1.0)),
        (Rate(5, 10), (0.1871, 0.8129)),  # the textbook's table
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    rate: Rate, interval: tuple[float, float]
) -> None:
    assert rate.interval == pytest.approx(interval, abs=1e-4)


def test_attacks_that_get_in_and_people_who_do_not_are_errors(report: Report) -> None:
    wrong = {(line.kind, line.check): line.wrong for line in report.lines()}

    assert wrong["print", "challenge"] == Rate(1, 150)
    assert wrong["live", "challenge"] == Rate(1, 20)
    assert wrong["print", "blink, EAR < 0.2 in 3 frames"] == Rate(150, 150)
    assert wrong["live", "blink, EAR < 0.2 in 3 frames"] == Rate(0, 20)


def test_a_model_that_is_not_there_has_no_line(report: Report) -> None:
    assert "FasNet" not in report.text()


def test_the_text_tells_rates_reasons_and_what_it_is_not(report: Report) -> None:
    text = report.text()

    assert "APCER 1 of 150 = 0.7%" in text
    assert "BPCER 1 of 20 = 5.0%" in text
    assert "refused by: flat 149" in text
    assert "pictures left out: 3 turned" in text
    assert text.rstrip().endswith(DISCLAIMER)
    assert "no ISO/IEC 30107-3 certificate" in DISCLAIMER


def test_the_figures_are_json_and_name_every_clip(report: Report) -> None:
    figures = json.loads(json.dumps(report.figures()))

    assert len(figures["clips"]) == 170
    assert figures["clips"][0]["verdicts"]["challenge"]["reason"] == "flat"
    (rate,) = [
        one
        for one in figures["rates"]
        if (one["kind"], one["check"], one["error"]) == ("print", "challenge", "APCER")
    ]
    assert (rate["count"], rate["of"], rate["reasons"]) == (1, 150, {"flat": 149})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_escapes_what_it_is_told(report: Report) -> None:
    page, tags = report.page(), Tags()
    tags.feed(page)

    assert "script" not in tags.seen
    assert tags.links == []
    assert "&lt;jump&gt; 1" in page
    assert "<jump>" not in page
    assert tags.seen.count("tr") == 1 + len(report.lines())


# The command


@needs_faces
def test_the_command_plays_attacks_and_people_and_writes_what_came_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, figures, page = tmp_path / "faces", tmp_path / "out.json", tmp_path / "out.html"
    for name in list(lfw_pictures())[:48]:
        shutil.copytree(LFW / name, folder / name)

    call_command(
        "evaluate",
        "--attacks",
        f"--faces={folder}",
        "--clips=1",
        "--live-clips=1",
        "--species=reordered_frames",
        "--levels=challenge",
        f"--keep={tmp_path / 'kept.jsonl'}",
        f"--json={figures}",
        f"--html={page}",
    )

    told = capsys.readouterr().out
    assert "reordered_frames" in told
    assert DISCLAIMER in told
    clips = json.loads(figures.read_text())["clips"]
    assert sorted(clip["species"] for clip in clips) == ["live", "reordered_frames"]
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 3
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--species=hologram"], "hologram"),
        (["--levels=none"], "none"),
        (["--clips=0"], "--clips is 0, expected at least 1"),
        (["--fasnet=/nowhere"], "FasNet lacks"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, options: list[str], words: str) -> None:
    (tmp_path / "Somebody").mkdir()
    (tmp_path / "Somebody" / "one.jpg").write_bytes(b"no picture")

    with pytest.raises(CommandError, match=words):
        call_command("evaluate", "--attacks", f"--faces={tmp_path}", *options)


def test_a_folder_without_usable_faces_says_what_was_wrong_with_them(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.jpg").write_bytes(b"no picture")

    with pytest.raises(CommandError, match=r"got 0 people .* \(3 no_single_face\), expected at"):
        call_command("evaluate", "--attacks", f"--faces={tmp_path}")
