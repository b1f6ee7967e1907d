"""The protocol: every field of an answer is validated, as coming from a stranger."""

import msgspec
import pytest

from gradlint.core.edit import Edit, EditKind
from gradlint.core.finding import Cause, Claim, Confidence, Finding, Remedy, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.target import InputSpec, Target, TargetKind
from gradlint.worker.messages import (
    HEADER,
    Analyse,
    Result,
    Settings,
    TargetResult,
    decode_message,
    decode_request,
    encode,
)


def test_a_request_arrives_as_it_was_sent() -> None:
    target = Target(
        path="/m.py",
        name="Net",
        line=3,
        kind=TargetKind.FACTORY,
        args=(4, "a", [1, 2], {"expression": "Config()"}),
        kwargs={"width": 8},
        inputs=(InputSpec((4, 8)), InputSpec((4,), "int64", "ids", 100, 1), InputSpec((), "literal", value=[1, None])),
        uses=("Block",),
    )
    request = Analyse(target, "source", Settings(("GL101",), {"saturating-stack": {"decades": 3.0}}, True))
    assert decode_request(encode(request)[HEADER.size :]) == request


def test_an_answer_arrives_as_it_was_sent() -> None:
    finding = Finding(
        code="GL101",
        name="saturating-stack",
        severity=Severity.ERROR,
        message="bad",
        sites=(Site(Location("/m.py", 4, 5, 9, "Net.__init__"), "here"),),
        model="Net",
        confidence=Confidence.MEDIUM,
        cause=Cause.SATURATION,
        predicted={"decades": 3.5, "count": 20, "sure": True, "none": None, "summary": "text"},
        verdict=Verdict.INCONCLUSIVE,
        remedies=(Remedy("GELU", "−1", -1.0),),
        claim=Claim("ratio", edit=Edit(EditKind.NORM, "norm", ("a",), spans=(("a", "b"),))),
    )
    summary = ModelSummary("Net", "/m.py", 3, attenuation=3.5, near_misses=("a",))
    result = Result(TargetResult((finding,), summary, (Skipped("/m.py", 1, "x", "why"),), ("Block",)))
    assert decode_message(encode(result)[HEADER.size :]) == result


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b'{"type": "result"}',
        b'{"type": "evil", "result": {}}',
        b'{"type": "result", "result": {"findings": [{"code": 1}]}}',
        b'{"type": "result", "result": {"findings": [], "summary": {"name": "N", "path": "p", "line": "three"}}}',
        b'{"type": "result", "result": {"findings": [{"code": "GL1", "name": "n", "severity": "fatal", "message": "m",'
        b' "sites": []}]}}',
        b"\xff\xfe",
    ],
)
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode_message(body)
