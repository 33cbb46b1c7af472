"""The site as an installable app: manifests, the worker's settings, and who gets the app."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from accounts.models import User
from recognition.models import FaceRegistration
from recognition.services import decline_consent
from roster.models import Course, RosterClaim, Student
from tests.support.face_samples import an_embedding
from tests.support.school import a_consent, a_student, a_template

pytestmark = pytest.mark.django_db

MANIFESTS = {"/": "/app.webmanifest", "/kiosk/": "/kiosk.webmanifest"}
BROWSERS_WANT = {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")}


@pytest.fixture
def erin(math: Course) -> User:
    """A student's account, linked to the roster."""
    user = User.objects.create_user("erin", "erin@example.edu")
    a_student("S-9", "Erin Example", math, user=user)
    return user


@pytest.fixture
def as_erin(client: Client, erin: User) -> Client:
    client.force_login(erin)
    return client


@pytest.mark.parametrize("manifest", MANIFESTS.values())
def test_a_manifest_has_what_browsers_ask_of_an_installable_app(client, manifest):
    response = client.get(manifest)
    app = response.json()
    assert response.headers["Content-Type"] == "application/manifest+json"
    assert app["name"]
    assert app["display"] in ("standalone", "fullscreen")
    assert app["start_url"].startswith(app["scope"])
    assert {(icon["sizes"], icon["purpose"]) for icon in app["icons"]} == BROWSERS_WANT


def test_the_two_apps_are_told_apart(client):
    student, kiosk = (client.get(address).json() for address in MANIFESTS.values())
    for member in ("id", "name", "start_url", "scope", "display", "icons"):
        assert student[member] != kiosk[member]
    assert kiosk["start_url"] == reverse("kiosk")


@pytest.mark.parametrize("manifest", MANIFESTS.values())
def test_every_icon_is_a_picture_of_the_size_that_it_claims(client, manifest):
    for icon in client.get(manifest).json()["icons"]:
        picture = Image.open(io.BytesIO(static_file(icon["src"])))
        assert f"{picture.width}x{picture.height}" == icon["sizes"]
        assert picture.format == "PNG"


@pytest.mark.parametrize("manifest", MANIFESTS.values())
def test_a_maskable_icon_has_no_corner_that_a_mask_could_show(client, manifest):
    icons = client.get(manifest).json()["icons"]
    (source,) = [icon["src"] for icon in icons if icon["purpose"] == "maskable"]
    picture = Image.open(io.BytesIO(static_file(source))).convert("RGBA")
    assert picture.getpixel((0, 0))[3] == 255


@pytest.mark.parametrize("page", MANIFESTS)
def test_pages_name_their_app_and_register_the_worker(client, page):
    html = client.get(page).text
    assert f'<link rel="manifest" href="{MANIFESTS[page]}?language=en">' in html
    assert "rollcall/web_app/register.js" in html
    (touch_icon,) = re.findall(r'rel="apple-touch-icon" href="([^"]+)"', html)
    assert Image.open(io.BytesIO(static_file(touch_icon))).size == (180, 180)


def test_the_worker_lies_at_the_root_and_is_asked_for_anew_each_time(client):
    response = client.get("/sw.js")
    assert response.headers["Content-Type"].startswith("text/javascript")
    assert response.headers["Cache-Control"] == "no-cache"
    assert worker_settings(client)["untouched"] == ["/admin/"]


def test_a_changed_style_sheet_makes_a_new_version_of_the_worker(client, settings, tmp_path):
    before = worker_settings(client)["version"]
    assert worker_settings(client)["version"] == before

    (tmp_path / "rollcall").mkdir()
    (tmp_path / "rollcall" / "base.css").write_text("body { colour: red }")
    settings.STATICFILES_DIRS = [tmp_path, *settings.STATICFILES_DIRS]

    assert worker_settings(client)["version"] != before


def test_the_offline_pages_are_the_same_for_everybody(client, erin):
    pages = [address["page"] for address in worker_settings(client)["offlinePages"]]
    anonymous = [client.get(page).text for page in pages]
    client.force_login(erin)
    client.get("/app/")  # leaves a message for the next page
    assert [client.get(page).text for page in pages] == anonymous


def test_the_app_is_for_those_who_signed_in(client):
    assert client.get("/app/").headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "not linked"])
def test_before_the_registration_the_way_to_the_app_leads_there(client, erin, linked):
    if not linked:
        Student.objects.update(user=None)
    client.force_login(erin)
    page = client.get("/app/", follow=True)
    assert page.redirect_chain[0][0] == reverse("face")
    assert "The app comes after the registration." in page.text


def test_consent_alone_is_no_registration_yet(as_erin, erin):
    a_consent(erin.student)
    assert as_erin.get("/app/").status_code == 302


@pytest.mark.parametrize("status", ["draft", "pending", "approved", "rejected"])
def test_a_student_who_registered_gets_the_app(as_erin, erin, status):
    registers(erin.student, status)
    page = as_erin.get("/app/")
    assert page.status_code == 200
    assert "The kiosk is an app of its own" not in page.text


def test_a_student_enrolled_in_person_gets_the_app(as_erin, erin):
    a_template(erin.student, an_embedding(1))
    assert as_erin.get("/app/").status_code == 200


def test_a_student_who_declined_gets_the_app_too(as_erin, erin):
    decline_consent(student=erin.student)
    assert as_erin.get("/app/").status_code == 200


def test_staff_are_told_about_the_kiosk_as_an_app(as_alice):
    assert "The kiosk is an app of its own" in as_alice.get("/app/").text


def test_a_visitor_is_offered_to_sign_up(client):
    page = client.get("/").text
    assert reverse("account_signup") in page
    assert "next-step" not in page


def test_a_lecturer_is_led_to_the_desk(as_alice):
    page = as_alice.get("/").text
    assert "Open the desk" in page
    assert "next-step" not in page


@pytest.mark.parametrize(
    ("status", "heading"),
    [
        (None, "Register your face"),
        ("draft", "Send your pictures"),
        ("awaiting_consent", "Say whether your pictures may be used"),
        ("pending", "Your lecturer looks at your pictures"),
        ("rejected", "Your pictures were not accepted"),
        ("cancelled", "Register your face"),
    ],
)
def test_a_student_sees_the_next_step_of_the_registration_first(as_erin, erin, status, heading):
    if status:
        registers(erin.student, status)
    assert first_heading(as_erin.get("/")) == heading


def test_a_student_who_can_be_recognised_has_nothing_left_to_do(as_erin, erin):
    a_template(erin.student, an_embedding(1))
    assert first_heading(as_erin.get("/")) == "You are ready"


def test_a_student_whose_template_is_of_another_model_registers_again(as_erin, erin):
    a_template(erin.student, an_embedding(1), model_id="another-model")
    assert first_heading(as_erin.get("/")) == "Register your face again"


def test_a_student_who_declined_reads_of_the_equal_way_in(as_erin, erin):
    decline_consent(student=erin.student)
    page = as_erin.get("/")
    assert first_heading(page) == "You check in without your face"
    assert "pass" in page.text


def test_an_account_without_a_student_number_gives_it_first(as_erin, erin, dmitri):
    Student.objects.filter(user=erin).update(user=None)
    assert first_heading(as_erin.get("/")) == "Tell us your student number"
    RosterClaim.objects.create(user=erin, student=dmitri)
    page = as_erin.get("/")
    assert first_heading(page) == "Your student number is being checked"
    assert dmitri.name not in page.text


def registers(student: Student, status: str) -> None:
    is_open = status in FaceRegistration.OPEN
    student.face_registrations.create(
        status=status,
        decided_at=None if is_open else timezone.now(),
        reason="Too dark." if status == "rejected" else "",
    )


def first_heading(response):
    return re.search(r"<h1[^>]*>\s*(.*?)\s*</h1>", response.text)[1]


def worker_settings(client):
    return json.loads(re.search(r"self.config = (.*);", client.get("/sw.js").text)[1])


def static_file(address):
    found = finders.find(address.removeprefix("/static/"))
    assert found, f"{address} is missing"
    return Path(found).read_bytes()
