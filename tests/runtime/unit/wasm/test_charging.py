"""Charges in the code: what is put in, what is refused, and that the second reader would notice if one was missing."""

import ctypes

import pytest
import wasmtime
from tests.runtime.charges import Unmetered, check

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.charging import charged
from cloche.runtime.wasm.meter import METER, Meter
from cloche.runtime.wasm.module_file import Reader, imports, sections
from cloche.runtime.wasm.traps import StopKind, Stopped

from .toy import Maker, Toy, deed

LOOKS = b"\x41\xe3\x00\x10"
"""i32.const 99, call: how a charge calls the host."""
HEAD = '(module (import "cloche" "clock" (func $clock (param i32) (result i64))) (memory (export "memory") 1)'


def module(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"{HEAD} {text})"))


def test_the_toy_is_charged_everywhere(toy_wasm: bytes) -> None:
    report = check(charged(toy_wasm))
    assert report.loops == 2
    assert (report.leaf_loops, report.spans) == (1, 2)
    # The two exports, and the function that calls itself.
    assert report.entries == 3


def test_charges_are_the_same_each_time(toy_wasm: bytes) -> None:
    assert charged(toy_wasm) == charged(toy_wasm)


def test_each_charges_condition_is_said_to_be_rare(toy_wasm: bytes) -> None:
    code = charged(toy_wasm)
    report = check(code)
    hinted = [code[at] for at in hints(code)]
    # Each is an ``if``, and a span that follows another charge has one as well.
    assert hinted == [0x04] * (report.loops + report.leaf_loops + report.entries + report.spans + report.throws)


def hints(module: bytes) -> list[int]:
    """Return the places in the module that its hints are for."""
    found = {each.id: each.payload for each in sections(module) if each.id or b"branch_hint" in each.payload}
    reader, code = Reader(found[0]), Reader(found[10])
    assert reader.name() == "metadata.code.branch_hint"
    start = module.index(found[10])
    bodies: list[int] = []
    for _ in range(code.number()):
        size = code.number()
        bodies.append(start + code.at)
        code.take(size)
    imported = len(imports(module))
    places: list[int] = []
    for _ in range(reader.number()):
        function, count = reader.number(), reader.number()
        for _ in range(count):
            places.append(bodies[function - imported] + reader.number())
            assert reader.take(2) == b"\1\0"
    return places


@pytest.mark.parametrize("which", range(5))
def test_a_missing_charge_is_noticed(toy_wasm: bytes, which: int) -> None:
    code = charged(toy_wasm)
    at = -1
    for _ in range(which + 1):
        at = code.index(LOOKS, at + 1)
    # The call becomes four instructions that do nothing, and the value that was dropped a constant.
    spoilt = code[:at] + b"\x01\x01\x01\x42" + code[at + 4 :]
    with pytest.raises(Unmetered):
        check(spoilt)


UNMETERED = {
    "a loop": '(func (export "f") (loop (br 0)))',
    "a circle of calls": '(func $a (export "f") (call $b)) (func $b (call $a))',
    "a call of itself": '(func $a (export "f") (call $a))',
    "a circle through the table": """(type $t (func)) (table 1 funcref) (elem (i32.const 0) $a)
        (func $a (call_indirect (type $t) (i32.const 0)))""",
    "a throw": '(tag $e) (func (export "f") (throw $e))',
    "a span": '(func (export "f") (param i32) (memory.fill (i32.const 0) (i32.const 0) (local.get 0)))',
}


@pytest.mark.parametrize("name", UNMETERED)
def test_code_without_charges_is_noticed(name: str) -> None:
    plain = module(UNMETERED[name])
    check(charged(plain))
    with pytest.raises(Unmetered):
        check(bytes(wasmtime.wat2wasm(f'{HEAD} (memory (export "{METER}") 1) {UNMETERED[name]})')))


def test_code_that_reaches_the_meter_is_noticed() -> None:
    text = f'''{HEAD} (memory $m (export "{METER}") 1) (func (i64.store $m (i32.const 0) (i64.const 1))))'''
    with pytest.raises(Unmetered, match="another memory"):
        check(bytes(wasmtime.wat2wasm(text)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'(memory (export "{METER}") 1)', "which is the host's"),
        ("(func $f (return_call $f))", "cannot be metered"),
        ("(func (result i32) (i32.atomic.load (i32.const 0)))", "cannot be metered"),
        ("(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))", "cannot be metered"),
        ("(table 1 funcref) (elem declare func 0)", "unusual way"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        charged(module(text))


@pytest.mark.parametrize("code", [b"", b"\0asm\1\0\0\0", b"\0asm\1\0\0\0\x0a\xff"])
def test_what_is_no_module_is_refused(code: bytes) -> None:
    with pytest.raises(ImageError):
        charged(code)


def test_a_span_is_charged_by_its_length(make: Maker) -> None:
    used: list[int] = []
    for size in (64, 64 << 10):
        machine = make()
        machine.set_fuel(1 << 30)
        machine.step(deed(Toy.FILL, 0, 1, size))
        used.append((1 << 30) - machine.fuel_left())
    assert used[1] - used[0] == (64 << 10) // 64 - 1


@pytest.mark.parametrize("loop", [Toy.LOOP, Toy.TIGHT_LOOP, Toy.RECURSE])
def test_two_guests_end_at_the_same_charge(make: Maker, loop: Toy) -> None:
    left: list[int] = []
    for _ in range(2):
        machine = make()
        machine.set_fuel(5_000)
        with pytest.raises(Stopped) as caught:
            machine.step(deed(loop))
        assert caught.value.kind is StopKind.FUEL
        left.append(machine.fuel_left())
    assert left == [0, 0]


def test_a_guest_that_does_not_run_is_left_alone() -> None:
    numbers = (ctypes.c_int64 * 3)()
    meter = Meter(ctypes.addressof(numbers))
    meter.ask()
    meter.end()
    assert list(numbers)[1:] == [0, 0]
    meter.is_running = True
    meter.ask()
    assert numbers[1] > 1 << 62 > numbers[2] == 0
    meter.answer()
    meter.end()
    assert min(numbers[1], numbers[2]) > 1 << 62
    assert meter.was_ended
    meter.is_running = False
    meter.answer()
    with meter.lock:
        # Held by a thread that is leaving: nothing waits for it.
        meter.end()
    assert numbers[1] == 0


THROWS = """
  (tag $e (param i32))
  (func $throw (param i32) (throw $e (local.get 0)))
  (func (export "caught") (param i32) (result i32)
    (loop $again
      (block $caught (result i32)
        (try_table (catch $e $caught) (call $throw (local.get 0)))
        (i32.const -1))
      (local.set 0 (i32.sub (i32.const 1)))
      (br_if $again (local.get 0)))
    (local.get 0))
  (func (export "again") (param i32)
    (local.get 0)
    (loop $head (param i32)
      (drop)
      (try_table (catch $e $head) (throw $e (i32.const 1)))))
"""


def test_throws_are_charged_and_what_they_lead_back_to_as_well() -> None:
    report = check(charged(module(THROWS)))
    assert (report.throws, report.loops, report.leaf_loops) == (2, 2, 0)


def test_a_program_that_throws_for_ever_ends() -> None:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.wasm_exceptions = True
    engine = wasmtime.Engine(config)
    text = '(tag $e) (func (export "f") (loop $l (block $b (try_table (catch $e $b) (throw $e))) (br $l)))'
    code = charged(bytes(wasmtime.wat2wasm(f'(module (memory (export "memory") 1) {text})')))
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, wasmtime.Module(engine, code), []).exports(store)
    meter, endless = exports[METER], exports["f"]
    assert isinstance(meter, wasmtime.Memory)
    assert isinstance(endless, wasmtime.Func)
    meter.write(store, (100_000).to_bytes(8, "little") + (0).to_bytes(16, "little"), 0)
    with pytest.raises(wasmtime.Trap):
        endless(store)
