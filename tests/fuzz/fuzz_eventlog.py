r"""Coverage-guided fuzzing of the event log readers, with atheris (libFuzzer's options are taken).

A short run is a test (tests/unit/evidence/test_eventlog_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_eventlog.py /tmp/corpus tests/fuzz/corpus/eventlog \
        -max_total_time=1800 -max_len=65536 -timeout=10 -rss_limit_mb=500

New inputs go to the first directory. What is found (an exception other than a refusal, a hang, more than 500 MB) is
written to a file crash-*, timeout-* or oom-* in the working directory; give that file as the only argument to see it.

The first byte of an input chooses the reader: 1 for systemd's log, else the event log.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from builder.errors import MalformedImageError
    from builder.evidence.eventlog import parse_event_log
    from builder.evidence.eventlog_report import event_log, register_values
    from builder.evidence.replay import replay
    from builder.evidence.systemd_log import parse_userspace_log


def one_input(data: bytes) -> None:
    """Read, decode, check, replay and report: all that a log from outside goes through."""
    try:
        if data[:1] == b"\x01":
            for event in parse_userspace_log(data[1:]).events:
                _ = event.text, event.string_is_measured
            return
        log = parse_event_log(data[1:])
        event_log(log)
        register_values(replay(log))
    except MalformedImageError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
