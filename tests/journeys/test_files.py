"""Photos, films, voice notes and files between two people: what goes along, what stays behind, what is shown when."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, Locator, expect

from journeys.looks import Looks
from journeys.person import Meet, Person
from journeys.staff_browser import Review

pytestmark = pytest.mark.browser

Friends = tuple[Person, Person]
SECRETS = (b"Canary camera", b"CANARY remark")
NOTES = (b"Exif\0\0", b"EXIF", b"XMP ", b"http://ns.adobe.com")
"""How notes begin in the forms that pictures have."""
GPS_IFD = 0x8825

ADD = "Add photos, files or a voice note"
ALT = "Describe this for people who can't see it"


def painted(width: int, height: int, hue: int) -> Image.Image:
    """Hills and a sun."""
    picture = Image.new("RGB", (width, height), f"hsl({hue}, 60%, 80%)")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width * 0.6, height * 0.1, width * 0.8, height * 0.3), fill="#fff3b0")
    draw.ellipse((-width * 0.2, height * 0.5, width * 0.7, height * 1.6), fill=f"hsl({hue + 90}, 35%, 50%)")
    return picture


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a picture."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def from_a_camera() -> bytes:
    """A photo as a phone takes it: lying on its side, with its place, its camera and a remark."""
    notes = Image.Exif()
    notes[0x010F], notes[0x0112] = "Canary camera", 6
    place = notes.get_ifd(GPS_IFD)
    place[1], place[2], place[3], place[4] = "N", (59.0, 54.0, 45.0), "E", (10.0, 44.0, 38.0)
    return encoded(painted(2400, 1800, 200), "JPEG", exif=notes, comment=b"CANARY remark")


def moving() -> bytes:
    """An animated GIF with a remark."""
    frames = [painted(120, 90, hue) for hue in (0, 120, 240)]
    return encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0, duration=120, comment=b"CANARY remark"
    )


def chosen(name: str, data: bytes, kind: str = "image/jpeg") -> FilePayload:
    """A file as a person chooses it."""
    return {"name": name, "mimeType": kind, "buffer": data}


def adds(person: Person, *files: FilePayload, as_file: bool = False) -> Locator:
    """Choose files and wait until each is ready or refused; the tray."""
    person.page.get_by_test_id("attach-file" if as_file else "attach-media").set_input_files(files)
    tray = person.page.get_by_role("region", name="To send with this message")
    expect(tray.get_by_role("listitem")).to_have_count(len(files))
    expect(tray.get_by_text("Getting ready")).to_have_count(0)
    return tray


def sends(person: Person, words: str = "") -> None:
    """Send what is in the tray, and see it arrive on the server."""
    if words:
        person.fill("Message", words)
    person.button("Send").click()
    expect(person.page.get_by_role("region", name="To send with this message")).to_have_count(0)
    expect(person.log.get_by_role("progressbar", name="Sending")).to_have_count(0, timeout=60_000)


def saved(person: Person, button: Locator, folder: Path) -> tuple[str, bytes]:
    """Save a file: its name and its bytes."""
    with person.page.expect_download() as coming:
        button.click()
    path = folder / "saved"
    coming.value.save_as(path)
    return coming.value.suggested_filename, path.read_bytes()


def blobs_asked(person: Person) -> list[str]:
    """What this browser asked the server for, of people's files."""
    return [what for what, _ in person.traffic.requests if what.startswith("GET") and "/api/v1/blobs/" in what]


@pytest.fixture
def friends(friends: Friends) -> Friends:
    """The two old friends, after an answer: neither is new to the other."""
    ada, bea = friends
    if bea.row("Good to hear").count() == 0:
        bea.say("Good to hear from you")
    ada.reads("Good to hear from you")
    return ada, bea


def test_an_album_arrives_without_places_and_cameras(friends: Friends, tmp_path: Path) -> None:
    """Photos drawn anew: upright, small, described; what the camera wrote is in the original and nowhere else."""
    ada, bea = friends
    original, gif = from_a_camera(), moving()
    assert all(secret in original for secret in (*SECRETS, NOTES[0]))  # the control: it was there
    assert Image.open(io.BytesIO(original)).getexif().get_ifd(GPS_IFD)
    assert b"CANARY" in gif
    tray = adds(
        ada,
        chosen("IMG_20260412_101112.jpg", original),
        chosen("wide.png", encoded(painted(1600, 500, 20), "PNG"), "image/png"),
        chosen("moving.gif", gif, "image/gif"),
    )
    expect(tray.get_by_text("Where and when photos were taken stays on this device.")).to_be_visible()
    tray.get_by_label(ALT).first.fill("The fjord from the hill")
    sends(ada, "From the weekend")

    bea.reads("From the weekend")
    row = bea.row("From the weekend")
    expect(row.get_by_role("button", name=re.compile("^Open photo"))).to_have_count(3)
    looks = Looks()
    looks.at(bea.page, "album")
    first = row.get_by_role("button", name="Open photo: The fjord from the hill")
    first.click()
    viewer = bea.page.get_by_role("dialog", name="Photo 1 of 3")
    expect(viewer.get_by_role("img", name="The fjord from the hill")).to_be_visible()
    looks.at(bea.page, "viewer")
    name, photo = saved(bea, viewer.get_by_role("button", name="Save"), tmp_path)
    assert "IMG_2026" not in name
    drawn = Image.open(io.BytesIO(photo))
    assert drawn.size == (1200, 1600), "upright, and at most 1600 on its longer side"
    assert not drawn.getexif()
    assert [note for note in (*SECRETS, *NOTES) if note in photo] == []

    bea.page.keyboard.press("+")
    expect(viewer.get_by_role("button", name="Zoom out")).to_have_attribute("aria-disabled", "false")
    bea.page.keyboard.press("0")
    bea.page.keyboard.press("ArrowRight")
    bea.page.keyboard.press("ArrowRight")
    last = bea.page.get_by_role("dialog", name="Photo 3 of 3")
    expect(last.get_by_role("img")).to_be_visible()
    _, animation = saved(bea, last.get_by_role("button", name="Save"), tmp_path)
    assert getattr(Image.open(io.BytesIO(animation)), "n_frames", 1) == 3
    assert b"CANARY" not in animation
    bea.page.keyboard.press("Escape")
    expect(bea.page.get_by_role("dialog")).to_have_count(0)
    expect(first).to_be_focused()
    assert looks.faults == []
    assert not any(secret in body for _, body in ada.traffic.requests for secret in SECRETS)


def test_a_voice_note_is_heard_before_it_is_sent(friends: Friends) -> None:
    """The microphone is asked for on a tap, a refusal is explained; recorded, paused, listened to, sent, played."""
    ada, bea = friends
    looks = Looks()
    ada.button(ADD).click()
    ada.button("Record a voice note").click()
    ada.sees("The browser didn't allow the microphone.")
    looks.at(ada.page, "microphone-refused")
    ada.context.grant_permissions(["microphone"])
    ada.button("Try again").click()
    ada.sees("Recording, 0:01")
    ada.button("Pause").click()
    ada.sees(re.compile("^Paused at"))
    looks.at(ada.page, "voice-paused")
    ada.button("Record more").click()
    ada.sees("Recording, 0:02")
    ada.button("Stop").click()
    ada.sees("Listen to it before you send it.")
    looks.at(ada.page, "voice-ready")
    ada.button("Send voice note").click()
    expect(ada.page.get_by_role("textbox", name="Message")).to_be_visible()

    place = bea.log.get_by_role("slider", name="Place in the voice note")
    expect(place).to_have_count(1)
    bea.log.get_by_role("button", name="Play voice note").click()
    expect(bea.log.get_by_role("button", name="Pause voice note")).to_be_visible()
    expect(place).not_to_have_value("0")
    bea.log.get_by_role("button", name="Change speed, now 1×").click()
    expect(bea.log.get_by_role("button", name="Change speed, now 1.5×")).to_be_visible()
    expect(bea.log.get_by_role("button", name="Play voice note")).to_be_visible()  # played to its end
    place.focus()
    bea.page.keyboard.press("End")
    expect(place).to_have_attribute("aria-valuetext", re.compile(r"^0:0[2-9] of 0:0[2-9]$"))
    looks.at(bea.page, "voice-note")
    assert looks.faults == []


def test_a_file_keeps_its_bytes_and_loses_its_disguise(friends: Friends, tmp_path: Path) -> None:
    """Any file goes as it is; a name that turns its ending round is shown straight, and is saved under that."""
    ada, bea = friends
    body = b"%PDF-1.7 benign\n" + bytes(range(256)) * 300
    adds(ada, chosen("invoice\u202efdp.exe", body, "application/pdf"), as_file=True)
    sends(ada, "The invoice")
    row = bea.row("The invoice")
    expect(row.get_by_text("exe")).to_be_visible()
    name, arrived = saved(bea, row.get_by_role("button", name=re.compile("^Save ")), tmp_path)
    assert arrived == body
    assert "\u202e" not in name
    assert name.endswith("fdp.exe")
    assert "\u202e" not in row.inner_text()


FILM = """async () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [320, 180];
    const paint = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(15), {mimeType: 'video/webm;codecs=vp8'});
    const pieces = [];
    recorder.ondataavailable = ({data}) => pieces.push(data);
    const ended = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    for (let step = 0; step < 24; step++) {
        paint.fillStyle = `hsl(${step * 10} 60% 60%)`;
        paint.fillRect(0, 0, 320, 180);
        await new Promise((drawn) => setTimeout(drawn, 60));
    }
    recorder.stop();
    await ended;
    const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}"""
"""A second and a half of changing colours, recorded in the browser."""


def test_a_film_shows_a_still_and_plays_on_a_tap(friends: Friends) -> None:
    """Nothing is fetched before it is wanted; the sender is told that this form may hold where it was made."""
    ada, bea = friends
    film = base64.b64decode(ada.page.evaluate(FILM))
    tray = adds(ada, chosen("holiday.webm", film, "video/webm"))
    expect(tray.get_by_text("This video may say where and when it was taken.")).to_be_visible()
    tray.get_by_label(ALT).fill("Colours")
    before = len(blobs_asked(bea))
    sends(ada, "A film")
    row = bea.row("A film")
    play = row.get_by_role("button", name="Play video: Colours")
    expect(row.locator("img")).to_be_visible()
    assert len(blobs_asked(bea)) == before, "the still is in the message"
    play.click()
    video = row.locator("video")
    expect(video).to_be_visible()
    expect(video).to_be_focused()
    assert video.evaluate(
        """(video) => new Promise((played) => {
            const look = () => video.currentTime > 0 ? played([video.videoWidth, video.videoHeight])
                : video.addEventListener('timeupdate', look, {once: true});
            look();
        })"""
    ) == [320, 180]


def test_what_cannot_be_sent_is_refused_calmly(friends: Friends) -> None:
    """Empty, too large to open, broken, disguised: each says what it is, and the others go all the same."""
    ada, bea = friends
    photo = from_a_camera()
    bomb = encoded(Image.new("L", (12_000, 9_000)), "PNG")
    assert len(bomb) < 200_000, "the control: small as long as it is closed"
    tray = adds(
        ada,
        chosen("empty.jpg", b""),
        chosen("bomb.png", bomb, "image/png"),
        chosen("half.jpg", photo[: len(photo) // 2][:4000]),
        chosen("page.png", b"<!doctype html><script>alert(1)</script>", "image/png"),
        chosen("fine.png", encoded(painted(300, 300, 90), "PNG"), "image/png"),
    )
    expect(tray.get_by_text("This file is empty.")).to_be_visible()
    expect(tray.get_by_text("This picture is too large to open here.")).to_be_attached()
    expect(tray.get_by_text("This picture can't be opened here, so it goes as a file")).to_be_attached()
    tray.get_by_role("button", name="Remove half.jpg").click()
    looks = Looks()
    looks.at(ada.page, "tray")
    sends(ada, "What is left")
    row = bea.row("What is left")
    expect(row.get_by_role("button", name="Open photo", exact=True)).to_have_count(1)
    expect(row.get_by_role("button", name="Save page.png")).to_have_count(1)
    assert row.get_by_role("button", name=re.compile("empty|bomb|half")).count() == 0
    assert looks.faults == []


def test_what_is_on_its_way_is_seen_and_can_be_taken_back(friends: Friends) -> None:
    """Chosen files stay while one looks elsewhere; without a network they wait, and a tap takes them back."""
    ada, bea = friends
    adds(ada, chosen("plan.txt", b"benign " * 4000, "text/plain"), as_file=True)
    ada.open_chat(bea.name)
    tray = ada.page.get_by_role("region", name="To send with this message")
    expect(tray.get_by_text("plan.txt")).to_be_visible()
    ada.loses_network()
    ada.fill("Message", "Never mind")
    ada.button("Send").click()
    row = ada.row("Never mind")
    expect(row.get_by_role("progressbar", name="Sending")).to_be_visible()
    looks = Looks()
    looks.at(ada.page, "sending")
    row.get_by_role("button", name="Cancel sending").click()
    expect(row).to_have_count(0)
    ada.has_network_again()
    ada.say("Something else")
    bea.reads("Something else")
    expect(bea.row("Never mind")).to_have_count(0)
    assert looks.faults == []


def test_pasted_and_dropped_pictures_join_the_message(friends: Friends) -> None:
    """The whole chat takes a drop and says so; words that were copied with a picture win over it."""
    ada, bea = friends
    put = """([what, on, words]) => {
        const held = new DataTransfer();
        const bytes = Uint8Array.from(atob(what), (letter) => letter.charCodeAt(0));
        held.items.add(new File([bytes], 'copied.png', {type: 'image/png'}));
        if (words) held.items.add(words, 'text/plain');
        const target = on === 'paste' ? document.getElementById('message') : document.querySelector('[role=log]');
        const Kind = on === 'paste' ? ClipboardEvent : DragEvent;
        const held_as = on === 'paste' ? 'clipboardData' : 'dataTransfer';
        target.dispatchEvent(new Kind(on, {bubbles: true, cancelable: true, [held_as]: held}));
    }"""
    data = base64.b64encode(encoded(painted(200, 200, 10), "PNG")).decode()
    ada.page.evaluate(put, [data, "paste", "some words"])
    ada.page.evaluate(put, [data, "dragenter", ""])
    expect(ada.page.get_by_text("Drop photos and files here to add them.")).to_be_visible()
    ada.page.evaluate(put, [data, "drop", ""])
    expect(ada.page.get_by_text("Drop photos and files here to add them.")).to_have_count(0)
    ada.page.evaluate(put, [data, "paste", ""])
    tray = ada.page.get_by_role("region", name="To send with this message")
    expect(tray.get_by_role("listitem")).to_have_count(2)
    expect(tray.get_by_text("Getting ready")).to_have_count(0)
    sends(ada, "Two of them")
    expect(bea.row("Two of them").get_by_role("button", name="Open photo", exact=True)).to_have_count(2)


def test_pictures_of_somebody_new_stay_closed_until_they_are_wanted(meet: Meet) -> None:
    """Before the first answer nothing is fetched, links do not open, help is near; a second tap closes it again."""
    cal, dot = meet("Cal Newcomer"), meet("Dot Careful")
    cal.request(dot.handle)
    cal.sees_request_sent()
    dot.accept(cal.name)
    cal.open_chat(dot.name)
    cal.in_chat()
    adds(cal, chosen("hello.png", encoded(painted(400, 300, 60), "PNG"), "image/png"))
    sends(cal, "Look at https://files.example.com/free")
    row = dot.row("Look at")
    expect(row.get_by_text("Cal Newcomer won't know if you do.")).to_be_visible()
    expect(row.get_by_role("link", name="Get help")).to_be_visible()
    expect(row.get_by_role("link").filter(has_text="files.example.com")).to_have_count(0)
    looks = Looks()
    looks.at(dot.page, "veil")
    assert blobs_asked(dot) == [], "closed means not fetched"
    row.get_by_role("button", name="Show", exact=True).click()
    expect(row.get_by_role("button", name="Open photo", exact=True)).to_be_visible()
    assert blobs_asked(dot) != [], "the control: it is seen when it is fetched"
    looks.at(dot.page, "unveiled")
    row.get_by_role("button", name="Hide again").click()
    expect(row.get_by_role("button", name="Open photo", exact=True)).to_have_count(0)
    dot.say("Thanks, Cal")
    expect(row.get_by_role("button", name="Open photo", exact=True)).to_be_visible()
    expect(row.get_by_role("link").filter(has_text="files.example.com")).to_have_count(1)
    assert looks.faults == []


def test_a_report_says_which_files_go_along_and_the_reviewer_opens_them_one_by_one(
    friends: Friends, review: Review
) -> None:
    """Photos and a film stand in the preview as they will be sent; the reviewer sees words first, and a veil."""
    ada, bea = friends
    adds(ada, *(chosen(f"{n}.png", encoded(painted(600, 400, 70 * n), "PNG"), "image/png") for n in (1, 2)))
    sends(ada, "Two for the report")
    film = base64.b64decode(ada.page.evaluate(FILM))
    adds(ada, chosen("short.webm", film, "video/webm"))
    sends(ada, "And a film for it")
    bea.reads("And a film for it")
    looks = Looks()
    bea.tap_message("And a film for it")
    bea.button("Report").click()
    bea.button("Bullying or threats").click()
    rows = bea.page.get_by_role("list", name="Messages in this report").get_by_role("listitem")
    expect(rows.filter(has_text="Two for the report").get_by_text(re.compile("^Photo, "))).to_have_count(2)
    expect(rows.filter(has_text="And a film for it").get_by_text(re.compile("^Video, "))).to_have_count(1)
    expect(rows.filter(has_text="And a film for it")).to_contain_text("Verified")
    bea.sees(re.compile("photos and files in these messages are sent too"))
    rows.last.scroll_into_view_if_needed()
    looks.at(bea.page, "report-with-files")
    bea.button("Send report").click()
    bea.sees_heading("Report sent")
    bea.close_sheet()

    rita = review("rita.files", "reviewer")
    rita.take_about("General", ada.name)
    expect(rita.page.locator("img, video")).to_have_count(0)
    rita.open_all()
    reported = rita.page.locator("li.exhibit").filter(has_text="Two for the report")
    expect(reported.get_by_text("Attachment:")).to_have_count(2)
    with rita.context.expect_page() as opening:
        reported.get_by_role("button", name="Check and open").first.click()
    opened = opening.value
    picture = opened.get_by_role("img", name="The attachment, veiled")
    expect(picture).to_be_visible()
    assert picture.evaluate("async (img) => { await img.decode(); return img.naturalWidth > 100; }")
    looks.at(opened, "reviewer-attachment")
    assert looks.faults == []
