"""Programs that try the data image's C: each ends with a typed error, and the session goes on."""

from collections.abc import Iterator

import pytest

from cloche import Image, Limits, Sandbox, Session

LIMITS = Limits(fuel=500_000_000, time=60, memory="512 MiB")
ENDS = {
    "FuelExhausted": {
        "a product without end": "import numpy as np\na = np.ones((300, 300))\nwhile True: a @ a",
        "a regular expression": "import pandas as pd\npd.Series(['a' * 40 + 'b']).str.match('(a+)+$')",
        "exceptions of C++ by the million": """
import matplotlib.tri as t
for _ in range(10**6):
    try: t.Triangulation([0, 1, 2], [0, 1, 2])
    except RuntimeError: pass
""",
        "figures without end": "import matplotlib.pyplot as plt\nwhile True: plt.figure()",
    },
    "ValueError": {
        "a huge shape": "import numpy as np\nnp.zeros((1 << 30, 1 << 30))",
        "a view beyond its memory": """
import numpy as np
np.lib.stride_tricks.as_strided(np.zeros(1), (10**6, 10**6), (0, 0)).sum()
""",
        "a pickle in an array's file": """
import io, numpy as np
file = io.BytesIO()
np.save(file, np.array([print], dtype=object), allow_pickle=True)
file.seek(0)
np.load(file)
""",
        "a call in a query": "import pandas as pd\npd.DataFrame({'a': [1]}).query('@__import__(\"os\").getcwd()')",
    },
    "MemoryError": {"more than the memory": "import numpy as np\nx = [np.ones(10**7) for _ in range(20)]"},
}


@pytest.fixture(scope="module")
def session(image: Image) -> Iterator[Session]:
    if "matplotlib" not in image.modules:
        pytest.skip("the data image is older than matplotlib in it: make data")
    with Sandbox(image=image).session(limits=LIMITS) as session:
        yield session


@pytest.mark.parametrize(("ends", "name"), [(ends, name) for ends, programs in ENDS.items() for name in programs])
def test_a_program_ends_with_a_typed_error(session: Session, ends: str, name: str) -> None:
    error = session.run(ENDS[ends][name]).error
    assert ends in (type(error).__name__, getattr(error, "type_name", ""))
    assert session.run("1 + 1").value == 2


def test_last_values_that_cannot_leave_are_their_text(session: Session) -> None:
    wide = session.run("import numpy as np, pandas as pd\npd.DataFrame(np.zeros((2, 5_000)))")
    assert wide.ok
    assert "[2 rows x 5000 columns]" in str(wide.value)
    deep = session.run("a = np.empty(1, object)\nfor _ in range(500):\n    b = a; a = np.empty(1, object); a[0] = b\na")
    assert deep.ok or "deep" in str(deep.error)
