"""The data image, where it is built."""

import pytest

from cloche import Image, ImageNotFound


@pytest.fixture(scope="module")
def image() -> Image:
    try:
        return Image("data")
    except ImageNotFound:
        pytest.skip("the data image is not built: make data")
