"""The classes of attack: an id that stays, what is done, what must come of it, and the tests that do it.

The page docs/security/attacks.md is made of this table by ``python -m tests.hostile.page``.
"""

from typing import NamedTuple

__all__ = ["CLASSES", "Attack"]

_ESCAPES = "tests/hostile/test_escapes.py"
_FRAMES = "tests/hostile/test_forged_frames.py"
_HOSTILE = "tests/hostile/test_bombs.py"
_LIMITS = "tests/runtime/real/test_limits.py"
_TOOLS = "tests/runtime/real/test_tools.py"
_RECYCLING = "tests/runtime/real/test_recycling.py"
_BLOCKING = "tests/runtime/real/test_blocking_tools.py"
_NEIGHBOURS = "tests/runtime/real/test_neighbours_under_load.py"
_REFUSALS = "tests/runtime/real/snapshots/test_refusals.py"
_APPROVALS = "tests/runtime/real/suspension/test_approvals.py"
_VALUES = "tests/runtime/unit/values/test_hostile.py"
_PROTOCOL = "tests/runtime/unit/bridge/test_protocol.py"
_ENVIRONMENT = "tests/runtime/unit/bridge/test_environment.py"
_IMPORTS = "tests/runtime/unit/wasm/test_imports.py"
_CACHE = "tests/runtime/unit/wasm/test_cache.py"
_GUARDED = "tests/host_tools/unit/policy/test_guarded.py"
_PROPERTIES = "tests/host_tools/unit/test_properties.py"
_POLICIES = "tests/host_tools/real/test_policies.py"
_SEALED = "tests/host_tools/real/test_sealed.py"
_LOGS = "tests/host_tools/unit/test_call_log.py"
_WEB = "tests/host_tools/unit/builtin/test_web.py"
_SQL = "tests/host_tools/unit/builtin/test_sql.py"
_MARIADB = "tests/host_tools/unit/builtin/test_mariadb.py"
_OTHERS = "tests/host_tools/unit/builtin/test_others.py"
_NOTES = "tests/host_tools/unit/builtin/test_notes.py"
_KEPT = "tests/host_tools/unit/policy/test_cache.py"
_COUNT = "tests/runtime/unit/bridge/test_host_memory.py"
_FUZZ = "tests/hostile/test_fuzz.py"
_ERRORS = "tests/hostile/test_errors.py"
_KILLS = "tests/hostile/test_kills.py"
_SOAK = "tests/hostile/test_soak.py"
_SAVING = "tests/hostile/test_saving.py"
_SIGNALS = "tests/hostile/test_signals.py"
_GREENLETS = "tests/hostile/test_greenlets.py"
_COSTS = "tests/hostile/test_costs.py"
_MEMORY = "tests/runtime/real/test_host_memory.py"


class Attack(NamedTuple):
    """A class of attack: ``tests`` are ``file::function``."""

    id: str
    what: str
    expected: str
    tests: tuple[str, ...]


CLASSES: dict[str, tuple[Attack, ...]] = {
    "Ways out": (
        Attack(
            "out-1",
            "Every known way from Python to the system: dunder walks, leaked modules, format strings, C extensions",
            "Leads to the guest's own memory, or an exception; the same code does harm outside the sandbox",
            (
                f"{_ESCAPES}::test_every_way_to_the_system_leads_to_the_guests_own",
                f"{_ESCAPES}::test_outside_that_way_leads_to_harm",
            ),
        ),
        Attack(
            "out-2",
            "What each module of the library is good for: files, processes, sockets, signals, native code",
            "Comes to nothing: no file, process, thread, descriptor or connection of the host changes",
            (
                f"{_ESCAPES}::test_what_every_module_is_good_for_comes_to_nothing",
                f"{_ESCAPES}::test_outside_that_module_does_harm",
            ),
        ),
        Attack(
            "out-3",
            "An import or an export of the module beyond the bridge",
            "A test pins the list: five imports, no WASI",
            (
                "tests/build/real/test_image.py::test_the_imports_are_the_bridge_and_nothing_else",
                "tests/build/real/test_image.py::test_the_exports_are_those_of_run_time",
            ),
        ),
    ),
    "Messages of a guest": (
        Attack(
            "msg-1",
            "A forged call frame: lengths of four billion, unknown types, other shapes, pickles, half a frame",
            "ProtocolError, the session rolled back, the neighbour untouched",
            (f"{_FRAMES}::test_a_forged_frame_ends_the_run", f"{_PROTOCOL}::test_unknown_call_frames"),
        ),
        Attack(
            "msg-2",
            "A forged response, by a program in the interpreter's place",
            "ProtocolError or the error that it reports, bounded in all its parts",
            (
                f"{_FRAMES}::test_a_program_that_answers_in_the_interpreters_place",
                f"{_FRAMES}::test_an_answer_larger_than_any_frame",
                f"{_FRAMES}::test_an_interpreter_that_does_not_answer",
                f"{_PROTOCOL}::test_unknown_responses",
            ),
        ),
        Attack(
            "msg-3",
            "Values made to collide, to nest, to repeat keys, or to decode to far more than they weigh",
            "MalformedValue before memory or time is spent on them",
            (
                f"{_VALUES}::test_keys_made_to_collide",
                f"{_VALUES}::test_the_depth_cap_is_exact",
                f"{_VALUES}::test_no_message_takes_more_memory_than_the_bounds_say",
                f"{_VALUES}::test_broken_leaves",
            ),
        ),
        Attack(
            "msg-4",
            "Pointers and lengths outside the memory, at every import",
            "ProtocolError before the handler acts",
            (
                f"{_IMPORTS}::test_a_call_with_a_bad_span_never_reaches_the_handler",
                f"{_IMPORTS}::test_bad_output",
                f"{_IMPORTS}::test_no_numbers_reach_outside_the_memory",
            ),
        ),
        Attack(
            "msg-5",
            "Random and structure-aware messages for each reader of the host, small and huge",
            "An answer or a typed error, ten million times",
            (f"{_FUZZ}::test_no_reader_raises_an_untyped_error", f"{_VALUES}::test_mutated_frames"),
        ),
        Attack(
            "msg-6",
            "A line number of thousands of digits, a type name of 4 MB, in an error report",
            "An error that can be printed: the line is dropped, the name cut to 200 characters",
            (f"{_ERRORS}::test_a_forged_report_makes_an_error_that_can_be_shown",),
        ),
        Attack(
            "msg-7",
            "A clock that is slept past the end of its 64 bits, by forged frames or by an ordinary loop",
            "It stands at its end; the session runs on, and its snapshot can be restored",
            (
                f"{_ENVIRONMENT}::test_a_clock_that_is_slept_past_its_end_stands_there",
                f"{_ERRORS}::test_a_clock_slept_past_its_end_leaves_the_session_sound",
            ),
        ),
        Attack(
            "msg-9",
            "A message that is dear to scan, decode, check, record or show: every small value, in turn with others",
            "Done in pieces that end with the run, within the run's host memory: `make hostile` measures both",
            (
                f"{_COSTS}::test_a_message_is_measured_and_decoded_in_small_pieces",
                f"{_COSTS}::test_arguments_are_checked_in_pieces_and_as_ever",
                f"{_MEMORY}::test_a_message_that_decodes_to_too_much_ends_the_run",
                f"{_MEMORY}::test_checks_of_arguments_end_with_the_run",
            ),
        ),
        Attack(
            "msg-10",
            "Records, names, background calls and waiting calls that keep what was sent alive",
            "Records give way, names are cut, the rest ends the run: HostMemoryExceeded",
            (
                f"{_MEMORY}::test_records_of_calls_that_are_over_give_way",
                f"{_MEMORY}::test_names_are_bounded_at_once",
                f"{_MEMORY}::test_background_calls_that_are_not_awaited_are_counted",
                f"{_MEMORY}::test_waiting_calls_are_counted_here_and_where_they_are_restored",
                f"{_COUNT}::test_a_failed_call_keeps_nothing_of_the_functions_that_it_was_made_by",
                f"{_COUNT}::test_a_failed_calls_record_keeps_nothing_alive_by_its_traceback",
                f"{_LOGS}::test_memory_keeps_no_more_than_its_size",
            ),
        ),
        Attack(
            "msg-11",
            "Values of a million parts that are searched for garbage, freed, counted, written or checked in one go",
            "Neighbours have their turn in between: nothing of it is done at once, threads take short turns",
            (
                f"{_COUNT}::test_what_long_work_made_is_not_looked_through",
                f"{_COUNT}::test_values_are_dropped_in_pieces_unless_they_are_used_elsewhere",
                f"{_COUNT}::test_threads_take_short_turns_from_a_look_until_there_is_nothing_to_look_at",
                f"{_COUNT}::test_turns_are_as_usual_while_a_tool_runs_and_after_the_run",
                f"{_VALUES}::test_a_long_value_is_written_in_pieces_as_in_one",
                f"{_VALUES}::test_items_are_counted_on_all_levels",
            ),
        ),
        Attack(
            "msg-12",
            "An answer that is cut off within a value, or that makes its reader fail in another way",
            "ProtocolError or GuestCrashed on the result; nothing is raised to the caller",
            (
                f"{_ERRORS}::test_an_answer_that_is_cut_off_within_a_value",
                f"{_ERRORS}::test_an_answer_that_makes_its_reader_fail_is_the_guests_error",
                f"{_VALUES}::test_a_short_message_that_is_cut_off",
            ),
        ),
        Attack(
            "msg-8",
            "Whatever else makes an import's handler fail",
            "A GuestError on the result, with the cause; nothing is raised to the caller",
            (
                f"{_ERRORS}::test_a_handler_that_fails_is_the_guests_error",
                f"{_IMPORTS}::test_whatever_a_handler_raises_ends_the_run",
            ),
        ),
    ),
    "Tools and policies": (
        Attack(
            "tool-1",
            "Names that are not registered: dunder, dotted, empty; keywords such as `self` and `__class__`",
            "NameError or TypeError in the program; the tool is not called",
            (
                f"{_FRAMES}::test_only_registered_names_are_called",
                f"{_FRAMES}::test_keywords_reach_only_the_tool",
            ),
        ),
        Attack(
            "tool-2",
            "A keyword with the name of another parameter; a value that looks small to the policy, large to the tool",
            "Refused: what was judged is what is recorded and what the tool gets",
            (
                f"{_PROPERTIES}::test_what_the_policy_judged_is_what_is_recorded_and_what_the_tool_gets",
                f"{_GUARDED}::test_a_keyword_with_a_parameters_name_is_refused",
                f"{_POLICIES}::test_a_value_cannot_look_small_to_the_policy_and_large_to_the_tool",
            ),
        ),
        Attack(
            "tool-3",
            "A call without approval, by any trick; a tool swapped while its call waits",
            "Not called",
            (
                f"{_APPROVALS}::test_no_trick_calls_a_tool_without_leave",
                f"{_APPROVALS}::test_a_tool_that_takes_anothers_place_during_a_run_is_not_called_without_leave",
                f"{_APPROVALS}::test_the_approved_call_is_the_dispatched_call",
            ),
        ),
        Attack(
            "tool-4",
            "A tool's exception of any kind, BaseException included; the host's paths in its text",
            "An exception in the program: the type's name and the message, no path",
            (
                f"{_TOOLS}::test_whatever_a_tool_raises_is_an_exception_in_the_guest",
                f"{_TOOLS}::test_no_host_path_reaches_the_guest",
            ),
        ),
        Attack(
            "tool-5",
            "A tool that never returns; many of them",
            "TimeExceeded at the deadline; BlockedTools at 64 threads",
            (
                f"{_BLOCKING}::test_one_that_blocks_past_the_deadline_is_left_behind",
                f"{_BLOCKING}::test_too_many_that_are_stuck_refuse_new_runs",
            ),
        ),
        Attack(
            "tool-6",
            "Secrets in records: in errors, in rejected calls, spelt in other ways; torn lines, surrogates",
            "Redacted, and the log stays readable",
            (
                f"{_GUARDED}::test_a_rejected_call_puts_nothing_secret_on_record",
                f"{_GUARDED}::test_a_secret_is_redacted_however_an_error_spells_it",
                f"{_LOGS}::test_surrogates_are_kept_by_every_log",
                f"{_LOGS}::test_a_record_behind_another_processs_torn_line_is_read",
            ),
        ),
        Attack(
            "tool-7",
            "URLs that a server reads otherwise than the allow-list; private addresses; redirects",
            "PermissionError before any request",
            (
                f"{_WEB}::test_paths_that_a_server_may_read_as_leading_upwards",
                f"{_WEB}::test_allow_lists",
                f"{_WEB}::test_a_redirect_off_the_list_is_refused",
                f"{_WEB}::test_a_name_with_one_private_address_among_others_is_refused",
            ),
        ),
        Attack(
            "tool-8",
            "Code of a sealed tool that claims what it is not",
            "Not believed; it has the rights of its own sandbox only",
            (
                f"{_SEALED}::test_what_the_code_says_of_itself_is_not_believed",
                f"{_SEALED}::test_it_may_call_the_tools_of_its_sandbox_and_no_others",
            ),
        ),
        Attack(
            "tool-9",
            "A program that was talked into sending data out through an allowed tool",
            "Stopped by the policy, and on record",
            (f"{_POLICIES}::test_code_that_was_talked_into_exfiltration_is_stopped_and_seen",),
        ),
        Attack(
            "tool-10",
            "SQL that leaves the read-only transaction, changes a schema, a user or a setting, or writes a file",
            "The database refuses, PostgreSQL and MariaDB as they run here included; all rows are as they were",
            (f"{_SQL}::test_nothing_can_be_changed_in_postgresql", f"{_MARIADB}::test_nothing_can_be_changed"),
        ),
        Attack(
            "tool-11",
            "SQL that does not end, or whose rows are larger than the host's memory",
            "Ended in time; the row is refused before it is fetched",
            (
                f"{_SQL}::test_no_query_on_postgresql_fills_the_hosts_memory",
                f"{_SQL}::test_queries_on_postgresql_end_in_time",
                f"{_MARIADB}::test_no_query_fills_the_hosts_memory",
                f"{_MARIADB}::test_queries_end_in_time",
            ),
        ),
        Attack(
            "tool-12",
            "Megabytes of words or SQL for a built-in tool; a cache, files and notes filled by calls side by side",
            "Refused or bounded, in bytes and in number",
            (
                f"{_SQL}::test_a_statement_of_megabytes_is_not_taken_apart",
                f"{_OTHERS}::test_a_query_of_megabytes_is_not_taken_apart",
                f"{_OTHERS}::test_files_saved_side_by_side_are_no_more_than_allowed",
                f"{_NOTES}::test_notes_kept_side_by_side_are_no_more_than_allowed",
                f"{_KEPT}::test_what_programs_send_and_get_is_kept_up_to_a_size",
            ),
        ),
    ),
    "Time, memory and stack": (
        Attack(
            "use-1",
            "Endless loops in every place that Python has: finally, finalizers, callbacks, long native operations",
            "FuelExhausted or TimeExceeded; the session rolled back, the neighbour untouched",
            (f"{_HOSTILE}::test_time_and_cpu", f"{_LIMITS}::test_the_program_cannot_catch_a_limit"),
        ),
        Attack(
            "use-2",
            "Memory bombs in every form",
            "MemoryExceeded, or MemoryError in the program",
            (f"{_HOSTILE}::test_memory", f"{_HOSTILE}::test_memory_comes_back_after_many_bombs"),
        ),
        Attack(
            "use-3",
            "Recursion in Python and in C, of parsers, of freeing",
            "RecursionError in the program or StackOverflow; the host's stack is never overrun",
            (
                f"{_HOSTILE}::test_stack",
                f"{_NEIGHBOURS}::test_a_thread_with_a_small_stack_is_not_overrun",
            ),
        ),
        Attack(
            "use-5",
            "A million runs of every kind in one process",
            "Memory, files, threads and latency stay as they are",
            (f"{_SOAK}::test_runs_of_all_kinds_leave_no_files_and_no_threads",),
        ),
        Attack(
            "use-4",
            "Buffers that the host keeps: output, records, messages, tracebacks, values",
            "Bounded by Limits, each with its error",
            (f"{_HOSTILE}::test_buffers_of_the_host",),
        ),
    ),
    "State": (
        Attack(
            "state-1",
            "Snapshots that were edited, cut, forged with a sound checksum, sealed with another key",
            "SnapshotCorrupt or SnapshotMismatch, and nothing is loaded",
            (
                f"{_REFUSALS}::test_what_does_not_fit_is_named_and_no_machine_is_made",
                f"{_REFUSALS}::test_a_forged_memory_is_refused",
                f"{_REFUSALS}::test_cut_off_and_edited",
            ),
        ),
        Attack(
            "state-6",
            "A program that waits with many large calls; every limit at its maximum",
            "It can be saved, restored and resumed: the calls stand in the snapshot's body",
            (
                f"{_SAVING}::test_calls_that_wait_are_saved_with_all_they_were_given",
                f"{_SAVING}::test_what_one_run_can_have_wait_is_bounded_or_can_be_saved",
                f"{_SAVING}::test_at_every_limits_maximum",
                f"{_SAVING}::test_as_many_calls_as_may_wait_at_the_most",
            ),
        ),
        Attack(
            "state-7",
            "A snapshot whose header takes seconds to read",
            "The seal is looked at first; a header is at most 4 MiB",
            (
                f"{_SAVING}::test_a_hostile_header_costs_nothing_before_the_seal_is_looked_at",
                f"{_SAVING}::test_a_hostile_header_of_an_unsealed_snapshot_is_refused",
                f"{_SAVING}::test_two_forged_calls_with_one_number_are_refused",
            ),
        ),
        Attack(
            "state-2",
            "A snapshot whose memory is nonsense",
            "Harms only its own session",
            (f"{_REFUSALS}::test_a_memory_of_nonsense_harms_only_its_own_session",),
        ),
        Attack(
            "state-3",
            "What an earlier tenant left: patched modules, memory, files, random state",
            "All of a guest's memory is compared: nothing is left",
            (
                f"{_RECYCLING}::test_what_a_program_did_is_undone_to_the_last_byte",
                f"{_RECYCLING}::test_whatever_ran_before_nothing_is_left",
                f"{_ESCAPES}::test_what_a_program_changes_is_its_own",
            ),
        ),
        Attack(
            "state-4",
            "The death of the process at any moment of saving",
            "The old state or the new one; what was acknowledged is there",
            (
                "tests/runtime/real/snapshots/test_crash.py::test_killed_at_any_moment",
                "tests/runtime/real/suspension/test_kills.py::"
                "test_two_hundred_cycles_and_no_acknowledged_state_is_lost",
            ),
        ),
        Attack(
            "state-8",
            "Processes killed while they save under a lock; a loss of power that drops what was not synced",
            "What was acknowledged is there, once; the lock is free",
            (
                f"{_KILLS}::test_processes_that_are_killed_lose_and_double_nothing",
                f"{_KILLS}::test_a_loss_of_power_loses_nothing_that_was_acknowledged",
            ),
        ),
        Attack(
            "state-5",
            "Compiled images of others: damaged, forged, in an open folder",
            "Compiled anew, or ImageError",
            (f"{_CACHE}::test_a_damaged_entry_is_never_loaded", f"{_CACHE}::test_a_folder_open_to_others_is_refused"),
        ),
    ),
    "Threads and signals": (
        Attack(
            "signal-1",
            "Ctrl-C, or any signal whose handler raises, while a guest computes, calls a tool, or waits for one",
            "Raised to the caller; the session is back where the run began",
            (
                "tests/runtime/unit/wasm/test_interrupts.py::test_ctrl_c_ends_a_computing_guest",
                f"{_BLOCKING}::test_ctrl_c_reaches_the_caller_at_once",
            ),
        ),
        Attack(
            "signal-2",
            "The same at each line of what a session does, and at random moments",
            "Raised exactly once; all of the run or nothing; the session can be used",
            (
                f"{_SIGNALS}::test_at_lines_of_all_that_a_session_does",
                f"{_SIGNALS}::test_without_rollback_the_session_ends_or_can_be_used",
                f"{_SIGNALS}::test_while_a_guest_that_was_lost_repeats_what_it_has_done",
                f"{_SIGNALS}::test_from_a_thread_whose_stack_is_too_small",
                f"{_SIGNALS}::test_at_random_moments",
            ),
        ),
        Attack(
            "thread-2",
            "Threads patched by gevent or eventlet; greenlets that switch while a tool runs",
            "ConfigurationError; a guest never runs on a stack that is copied away",
            (
                f"{_GREENLETS}::test_where_threads_are_patched_the_sandbox_is_refused",
                f"{_GREENLETS}::test_with_threads_left_alone_greenlets_may_run_programs",
                f"{_GREENLETS}::test_a_guest_never_runs_on_a_greenlets_stack",
                f"{_GREENLETS}::test_two_guests_whose_tools_switch_back_and_forth",
            ),
        ),
        Attack(
            "thread-1",
            "Interrupts, closes and limits from other threads",
            "Reach only their own session",
            (
                f"{_NEIGHBOURS}::test_interrupts_reach_only_their_own_session",
                f"{_NEIGHBOURS}::test_exceptions_of_tools_are_never_swapped",
            ),
        ),
    ),
}
