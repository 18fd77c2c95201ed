"""Images and usage."""

from pathlib import Path

import pytest

from cloche.agent.messages import ImagePart, Message, TokenUsage

PNG = b"\x89PNG\r\n\x1a\n0000"


class Picture:
    """What PIL's images look like from here."""

    def save(self, file: object, format: str) -> None:
        file.write(PNG + format.encode())  # type: ignore[attr-defined]


def test_images_come_from_bytes_paths_urls_and_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff0")
    assert ImagePart.load(PNG).source.startswith("data:image/png;base64,iVBORw")
    assert ImagePart.load(path).media_type == ImagePart.load(str(path)).media_type == "image/jpeg"
    assert ImagePart.load("https://example.org/a.png").source == "https://example.org/a.png"
    assert ImagePart.load(Picture()).media_type == "image/png"
    same = ImagePart.load(PNG)
    assert ImagePart.load(same) is same


def test_what_is_no_image_is_refused_by_type() -> None:
    with pytest.raises(TypeError, match="a int is no image"):
        ImagePart.load(7)


def test_text_of_a_message_is_all_its_texts() -> None:
    assert Message.of("user", "a", ImagePart(url="x")).text == "a"
    assert Message(role="user").text == ""


def test_costs_add_where_they_are_known() -> None:
    total = TokenUsage(input_tokens=1) + TokenUsage(output_tokens=2, cost=0.1) + TokenUsage(cost=0.2)
    assert total.total == 3
    assert total.cost == pytest.approx(0.3)
    assert (TokenUsage() + TokenUsage()).cost is None
