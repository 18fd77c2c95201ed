"""OpenAI's SDK against the server: containers, their files, programs in them, expiry."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served

openai = pytest.importorskip("openai", reason="needs the openai SDK, which cloche[agent] brings")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    key = server.keys["north"]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture
def container(client: Any) -> Iterator[Any]:
    container = client.containers.create(name="mine", expires_after={"anchor": "last_active_at", "minutes": 30})
    yield container
    client.containers.delete(container.id)


def run(client: Any, code: str, container: Any, **options: Any) -> Any:
    tools = [{"type": "code_interpreter", "container": container}]
    return client.responses.create(model="python", tools=tools, input=code, **options)


def test_a_container_is_created_shown_listed_and_deleted(client: Any) -> None:
    container = client.containers.create(name="first")
    assert (container.object, container.status, container.expires_after.minutes) == ("container", "running", 20)
    shown = client.containers.retrieve(container.id)
    assert shown.name == "first"
    assert abs(shown.last_active_at - time.time()) < 600
    other = client.containers.create(name="second")
    pages = client.containers.list(limit=1)
    listed = [each.id for each in pages]
    assert {container.id, other.id} <= set(listed)
    for each in (container, other):
        client.containers.delete(each.id)
    with pytest.raises(openai.NotFoundError):
        client.containers.retrieve(container.id)


def test_a_program_runs_with_its_names_and_outputs(client: Any, container: Any) -> None:
    run(client, "x = 6", container.id)
    response = run(client, "print('here')\nx * 7", container.id)
    call, message = response.output
    assert (call.type, call.status, call.container_id) == ("code_interpreter_call", "completed", container.id)
    assert call.code == "print('here')\nx * 7"
    assert call.outputs[0].logs == response.output_text == "here\n42\n"
    assert message.role == "assistant"
    failed = run(client, "1 / 0", container.id).output[0]
    assert failed.status == "failed"
    assert "ZeroDivisionError" in failed.outputs[0].logs
    image = "class P:\n    def _repr_png_(self): return b'\\x89PNG'\nP()"
    assert run(client, image, container.id).output[0].outputs[1].url == "data:image/png;base64,iVBORw=="


def test_a_program_is_streamed(client: Any, container: Any) -> None:
    events = list(run(client, "print('here')", container.id, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert "response.code_interpreter_call.interpreting" in kinds
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "here\n"
    assert events[-1].response.output_text == "here\n"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_container_is_made_for_a_program_that_has_none(client: Any) -> None:
    message = [{"role": "user", "content": [{"type": "input_text", "text": "1 + 1"}]}]
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    call = client.responses.create(model="python", tools=tools, input=message).output[0]
    assert client.containers.retrieve(call.container_id).id == call.container_id
    client.containers.delete(call.container_id)


def test_files_go_in_and_out(client: Any, container: Any) -> None:
    files = client.containers.files
    sent = files.create(container.id, file=("rows.csv", b"a,b\n1,2\n"))
    assert (sent.path, sent.bytes, sent.source) == ("/mnt/data/rows.csv", 8, "user")
    code = "text = open('rows.csv').read()\nimport os; os.mkdir('out')\nopen('out/b.bin', 'wb').write(b'\\xff')\ntext"
    assert run(client, code, container.id).output_text == "'a,b\\n1,2\\n'\n"
    listed = {each.path: each for each in files.list(container.id)}
    assert sorted(listed) == ["/mnt/data/out/b.bin", "/mnt/data/rows.csv"]
    made = listed["/mnt/data/out/b.bin"]
    assert files.retrieve(made.id, container_id=container.id).bytes == 1
    assert files.content.retrieve(made.id, container_id=container.id).read() == b"\xff"
    files.delete(sent.id, container_id=container.id)
    with pytest.raises(openai.NotFoundError):
        files.retrieve(sent.id, container_id=container.id)


def test_a_container_expires_after_it_was_used_last(client: Any, server: Served) -> None:
    container = client.containers.create(name="", expires_after={"anchor": "last_active_at", "minutes": 10})
    with server.http() as http:
        before = http.get(f"/v1/sessions/{container.id}").json()["expires"]
        run(client, "1", container.id)
        after = http.get(f"/v1/sessions/{container.id}").json()["expires"]
        assert before < after
        assert 0 < after - time.time() <= 600
        # Its end comes as any session's does.
        http.patch(f"/v1/sessions/{container.id}", json={"life": 0.001})
    with pytest.raises(openai.NotFoundError):
        client.containers.retrieve(container.id)


def test_another_tenants_container_does_not_exist(client: Any, container: Any, server: Served) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.keys["south"], max_retries=0) as other:
        attempts: list[Callable[[], Any]] = [
            lambda: other.containers.retrieve(container.id),
            lambda: other.containers.delete(container.id),
            lambda: other.containers.files.list(container.id),
            lambda: run(other, "1", container.id),
        ]
        for attempt in attempts:
            with pytest.raises(openai.NotFoundError):
                attempt()
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="no", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.containers.list()


def test_hostile_requests_are_refused(client: Any, container: Any, server: Served) -> None:
    path = f"/v1/containers/{container.id}"
    interpreter = [{"type": "code_interpreter", "container": container.id}]
    # "/etc/passwd", "/mnt/data/../x" and what is no base64 at all.
    ids = ("cfile_L2V0Yy9wYXNzd2Q", "cfile_L21udC9kYXRhLy4uL3g", "cfile_%ff", "..%2f..")
    with server.http() as http:
        bad: list[httpx.Response] = [
            http.post("/v1/containers", json={"name": 1}),
            http.post("/v1/containers", json={"name": "x" * 300}),
            http.post("/v1/containers", json={"expires_after": {"minutes": 10**12}}),
            http.post("/v1/containers", json={"expires_after": "soon"}),
            http.post("/v1/containers", json={"file_ids": ["file_1"]}),
            http.post("/v1/containers", content=b"{" * 10_000),
            http.get("/v1/containers", params={"limit": "1e9"}),
            http.post(f"{path}/files", files={"file": ("..", b"x")}),
            http.post(f"{path}/files", json={"file_id": "file_1"}),
            http.post(f"{path}/files", content=bytes(2 << 20)),
            http.post("/v1/responses", json={"model": "python", "input": "1", "tools": []}),
            http.post("/v1/responses", json={"model": "python", "input": {"a": 1}, "tools": interpreter}),
            http.post("/v1/responses", json={"model": "python", "input": [], "tools": interpreter}),
            http.post("/v1/responses", json={"model": "gpt", "input": "1", "tools": interpreter}),
            *(http.get(f"{path}/files/{id}/content") for id in ids),
            *(http.delete(f"{path}/files/{id}") for id in ids),
        ]
    assert all(400 <= answer.status_code < 500 for answer in bad), bad
    assert all("message" in answer.json().get("error", answer.json()) for answer in bad)
    named = client.containers.files.create(container.id, file=("../../etc/a", b"x"))
    assert named.path == "/mnt/data/a"
