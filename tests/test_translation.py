"""The catalogue is whole, fits what the pages ask for, and keeps a kiosk's sentences short."""

from __future__ import annotations

import gettext
import re
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise

from checkin import texts
from checkin.own_device import texts as own_texts
from tests.support.catalogue import entries, messages

LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]
FOLDERS = {
    code: Path(settings.BASE_DIR) / "locale" / translation.to_locale(code) / "LC_MESSAGES"
    for code in LANGUAGES
}
PLACEHOLDER = re.compile(r"%\(\w+\)[-.\d]*[a-z]|%s|%%|\{\w+\}")
TAG = re.compile(r"<[^>]+>")
#: Read from two metres, in one look.
MOST_WORDS, MOST_CHARACTERS = 8, 12

AT_THE_DOOR: list[str | Promise] = [
    *texts.HINT_TEXTS.values(),
    texts.NO_SESSION,
    *texts.OUTCOME_TITLES.values(),
    *texts.REFUSAL_TEXTS.values(),
    *texts.PASS_INSTEAD_TEXTS.values(),
    *texts.REASON_TITLES.values(),
    *texts.REASON_TEXTS.values(),
    *texts.REASON_PASS_TEXTS.values(),
    texts.UNDONE_TITLE,
    texts.UNDONE_TEXT,
    texts.NOT_ME_TOO_LATE,
    *own_texts.OWN_HINT_TEXTS.values(),
]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_text_of_our_own_is_translated(code):
    known = {entry.message for entry in entries(FOLDERS[code] / "django.po")}
    missing = [f"{path}: {text!r}" for path, text in messages() if text not in known]
    assert missing == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_translation_is_empty_or_doubtful(code):
    catalogue = entries(FOLDERS[code] / "django.po")
    assert len(catalogue) > 2000
    assert [one.message for one in catalogue if not all(one.translations)] == []
    assert [one.message for one in catalogue if "fuzzy" in one.flags] == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_is_filled_in_is_the_same_in_every_language(code):
    wrong = [
        (original, one)
        for entry in entries(FOLDERS[code] / "django.po")
        for one in entry.translations
        for original in [entry.fields.get("msgid_plural", entry.fields["msgid"])]
        if set(PLACEHOLDER.findall(original)) != set(PLACEHOLDER.findall(one))
        or Counter(TAG.findall(original)) != Counter(TAG.findall(one))
    ]
    assert wrong == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_source(code):
    """A checkout runs without gettext's programs, so the compiled file lies beside the source."""
    with (FOLDERS[code] / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in entries(FOLDERS[code] / "django.po"):
        context, text = entry.message
        if plural := entry.fields.get("msgid_plural"):
            assert compiled.ngettext(text, plural, 2) == entry.translations[-1]
        elif context is None:
            assert compiled.gettext(text) == entry.translations[0]
        else:
            assert compiled.pgettext(context, text) == entry.translations[0]


@pytest.mark.parametrize("text", AT_THE_DOOR, ids=str)
def test_a_sentence_at_the_door_is_read_in_one_look(text):
    with translation.override("en"):
        assert len(str(text).split()) <= MOST_WORDS
    with translation.override("zh-hans"):
        assert len(re.findall(r"[\u4e00-\u9fff]", str(text))) <= MOST_CHARACTERS
        assert re.search(r"[\u4e00-\u9fff]", str(text))
