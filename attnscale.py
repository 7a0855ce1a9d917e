"""attnscale: what attention really costs, checked, measured and judged.

The front door: the command line (`attnscale …` or `python -m attnscale …`) and the Python API,
`fit`, `verify`, `sweep` and `load`. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bench.checks.results import CheckResult
    from bench.plan.plan import Plan
    from bench.process.kernels import Kernels
    from bench.records import Record, Run
    from bench.sweep.progress import LiveProgress, PlainProgress
    from implementations.case import Case, Pass
    from implementations.interface import Implementation, Layout
    from reports.judge.result import Fit
    from reports.judge.together import Together

__version__ = "0.1.0"

# An interrupted sweep has ended so many seconds later, whatever became of the interrupt.
LATEST_END_S = 5

# This process and a measuring one load torch at the same time, which takes seconds.
STARTING = "starting: loading torch"

DONE, FAILED, WRONG_REQUEST, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130


# --- Python API -----------------------------------------------------------------------------------


def fit(
    table: pd.DataFrame,
    sizes: Mapping[str, str] | None = None,
    value: str = "time_s",
    claim: str = "n^2*d",
    confidence: float = 0.95,
    tolerance: float = 0.1,
    statistic: str | None = None,
    average: Sequence[str] = (),
) -> Fit:
    """Judge one claim on one group of cells: a row a reading, `sizes` maps letters to columns.

    `average` names settings that vary among rows of the same sizes, and that the mean is taken of.

    Raises:
        ValueError: the claim is no law, a column is missing, or a value cannot be a size or a cost.

    """
    from reports.cells.cells import SIZES
    from reports.judge.fit import fit as judge

    return judge(
        table,
        sizes=sizes or SIZES,
        value=value,
        claim=claim,
        confidence=confidence,
        tolerance=tolerance,
        statistic=statistic,
        average=average,
    )


def verify(
    fn: Callable[..., Any] | Implementation | str,
    *,
    dtypes: Sequence[str] = ("float32", "float64", "bfloat16", "float16"),
    device: str = "cpu",
    passes: Sequence[Pass] = ("forward_backward",),
    layout: Layout = "bhsd",
    seed: int = 0,
) -> list[CheckResult]:
    """Check a function, an implementation or a name against the float64 oracle, in this process.

    Raises:
        ValueError: there is no implementation of that name, or no such dtype.

    """
    from bench.checks.refusals import mark_refusals_unsupported, witnesses
    from bench.checks.run_situation import verify as check
    from bench.checks.situations import check_cases
    from implementations.catalogue import load as load_implementation
    from implementations.interface import Implementation
    from implementations.specs import from_function, in_layout

    if isinstance(fn, str):
        implementation = load_implementation(fn)
    else:
        implementation = fn if isinstance(fn, Implementation) else from_function(fn)
    implementation = in_layout(implementation, layout)
    cases = check_cases(dtypes, device=device, passes=passes)
    found = list(check(implementation, cases, seed=seed))
    elsewhere = list(check(implementation, witnesses(implementation, found), seed=seed))
    return mark_refusals_unsupported(implementation, found, elsewhere)


def sweep(plan: Plan | str, out: str | Path, *, resume: bool = False) -> Run:
    """Measure a plan, or a preset by name, into the directory `out`, and return the run.

    Raises:
        ValueError: there is no such preset, the plan cannot be run, or `out` cannot be used.

    """
    from bench.plan.plan import load_preset
    from bench.records import read_run

    named = plan if isinstance(plan, str) else None
    _sweep(load_preset(plan) if isinstance(plan, str) else plan, Path(out), resume, named)
    return read_run(out)


def load(run: str | Path) -> Run:
    """Read a run directory.

    Raises:
        ValueError: it is not one.

    """
    from bench.records import read_run

    return read_run(run)


# --- Command line ---------------------------------------------------------------------------------

app = typer.Typer(
    name="attnscale",
    help="What attention really costs: check, measure and judge how it scales.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="implementations")]
Impl = Annotated[
    list[str] | None,
    typer.Option("--impl", metavar="SPEC", help="your own: file.py:fn, package.module:fn, name=…"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda")]
Preset = Annotated[str | None, typer.Option("--preset", help="quick, full, cuda or smoke")]
Config = Annotated[Path | None, typer.Option("--config", help="a plan in a TOML file")]
SeqLens = Annotated[
    str | None, typer.Option("--seq-lens", metavar="SIZES", help="128:8192, 128:8192/2, a,b")
]
Widths = Annotated[str | None, typer.Option("--d-models", metavar="SIZES", help="64:1024, a,b")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="float32, float64, bfloat16, float16")]
PassName = Annotated[str | None, typer.Option("--pass", help="forward or forward_backward")]
LayoutName = Annotated[
    str, typer.Option("--layout", help="of --impl: bhsd, or bshd for (batch, seq, heads, dim)")
]
Allocator = Annotated[
    str | None, typer.Option("--allocator", help="pinned, or default: page faults as users have")
]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="N|all", help="that a call may use; quick has 1")
]
TimeBudget = Annotated[
    str | None, typer.Option("--time-budget", metavar="90s", help="for the whole sweep: 90s, 5min")
]
Precision = Annotated[
    float | None,
    typer.Option("--precision", metavar="0.03", help="stop once exponents are known to so much"),
]
Sizes = Annotated[list[str] | None, typer.Option("--size", metavar="n=column", help="repeatable")]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value", help="the cost column (time_s); repeatable, or 'time_*': one group each"
    ),
]
Average = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="take the mean over this setting; repeatable"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="column=value", help="only such rows; != for all others; repeatable"
    ),
]
By = Annotated[list[str] | None, typer.Option("--by", help="one group per value of this column")]
Claim = Annotated[str | None, typer.Option("--claim", help="a law such as n^2*d")]
Energy = Annotated[bool, typer.Option("--energy", help="joules a call too; seconds a cell more")]
Out = Annotated[Path | None, typer.Option("--out", help="the directory to write")]
Resume = Annotated[bool, typer.Option("--resume", help="continue the run in --out")]


@app.command(name="list")
def list_command(as_json: Json = False) -> int:
    """Show the implementations, the laws they claim and what they support."""
    from bench.checks.tables import listing, listing_table
    from bench.process.kernels import Kernels
    from bench.process.supervisor import Worker

    with Worker(threads=1) as worker, _warnings_as_lines():
        rows = [listing(implementation) for implementation in Kernels(worker).every()]
    if as_json:
        _print_json({"implementations": rows})
    else:
        _console().print(listing_table(rows))
    return DONE


@app.command(name="verify")
def verify_command(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    device: Device = None,
    dtype: Annotated[list[str] | None, typer.Option("--dtype", help="repeatable; all four")] = None,
    pass_: Annotated[
        str, typer.Option("--pass", help="forward for a kernel without gradients")
    ] = "forward_backward",
    time_limit: Annotated[
        float, typer.Option(help="seconds that a kernel may take for a case")
    ] = 10,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="check the checks: with faulty and with odd kernels")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check outputs, gradients and properties against the float64 oracle."""
    if self_test:
        others = (names, impl, device, dtype, layout != "bhsd", pass_ != "forward_backward")
        if any(others):
            raise RequestError("--self-test: expected no other option than --json beside it")
        return _self_test(as_json)
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores()) as worker, _progress() as shown, _warnings_as_lines():
        shown.phase(STARTING)
        worker.begin()
        from bench.checks.command import Verification
        from bench.process.kernels import Kernels

        found = Verification(
            names=names or (),
            specs=impl or (),
            layout=layout,
            device=device,
            dtypes=dtype or (),
            pass_=pass_,
            time_limit_s=time_limit,
        ).run(lambda name: shown.phase(f"verifying {name}"), Kernels(worker, tell=shown.phase))
    if as_json:
        _print_json(found.to_dict())
    else:
        found.print(_console())
    if found.failed:
        return FAILED
    return INCONCLUSIVE if found.empty else DONE


def _self_test(as_json: bool) -> int:
    from tests.planted.examination import document, examine, show

    with _progress() as shown:
        shown.phase("checking the planted kernels")
        findings = list(examine())
    if as_json:
        _print_json(document(findings))
    else:
        show(findings, _console())
    return DONE if all(one.as_planted for one in findings) else FAILED


def _measuring_options(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    preset: Preset = None,
    config: Config = None,
    seq_lens: SeqLens = None,
    d_models: Widths = None,
    device: Device = None,
    dtype: Dtype = None,
    pass_: PassName = None,
    allocator: Allocator = None,
    threads: Threads = None,
    time_budget: TimeBudget = None,
    precision: Precision = None,
    energy: Energy = False,
    out: Out = None,
    resume: Resume = False,
) -> None:
    """What can be said of a sweep; the signature alone matters."""


def _takes_measuring_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `**options` those of `_measuring_options` before its own."""
    shared = inspect.signature(_measuring_options, eval_str=True)
    own = inspect.signature(command, eval_str=True)
    parameters = [
        *shared.parameters.values(),
        *(one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD),
    ]
    # Keyword-only ones of the command would have to stand last; typer passes all by keyword.
    plain = [one.replace(kind=one.POSITIONAL_OR_KEYWORD) for one in parameters]
    command.__signature__ = own.replace(parameters=plain)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {one.name: one.annotation for one in plain}
    return command


@app.command(name="counts")
def counts_command(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    dtype: Annotated[str, typer.Option("--dtype", help="that bytes are counted in")] = "float32",
    pass_: Annotated[str, typer.Option("--pass", help="forward or forward_backward")] = "forward",
    causal: Annotated[bool, typer.Option("--causal", help="with is_causal")] = False,
    at: Annotated[
        str | None, typer.Option(metavar="n=1048576,d=64", help="sizes to evaluate at")
    ] = None,
    as_json: Json = False,
) -> int:
    """Count operations, bytes, launches and workspace exactly, without a clock."""
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores()) as worker, _warnings_as_lines():
        worker.begin()  # both processes import torch, which takes seconds, at the same time
        from bench.counting.in_worker import counts_in_worker, nothing_counted

        found = counts_in_worker(
            names or (),
            impl or (),
            worker,
            layout=layout,
            dtype=dtype,
            pass_=pass_,
            is_causal=causal,
            at=_whole_sizes(at),
        )
    if as_json:
        _print_json(found)
    else:
        from bench.counting.table import table

        _console().print(table(found))
    return FAILED if nothing_counted(found, impl or ()) else DONE


@app.command(name="doctor")
def doctor_command(as_json: Json = False) -> int:
    """Say whether this machine is fit to measure on, and what to do about it."""
    from bench.doctor.examination import document, examine
    from bench.doctor.finding import verdict
    from bench.doctor.showing import show

    with _progress() as shown:
        shown.phase("examining the machine for some seconds")
        findings = examine()
    if as_json:
        _print_json(document(findings))
    else:
        show(findings, _console())
    return FAILED if verdict(findings) == "not fit" else DONE


@app.command(name="sweep")
@_takes_measuring_options
def sweep_command(**options: Any) -> int:
    """Measure: verify first, then time all cells in many short passes; writes a run."""
    folder, failed = _measure(**options)
    if failed:
        return FAILED
    measured = any(one.status == "measured" for one in _records(folder))
    return DONE if measured else INCONCLUSIVE


@app.command(name="fit")
def fit_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="runs or tables")],
    size: Sizes = None,
    value: Values = None,
    by: By = None,
    average: Average = None,
    where: Where = None,
    claim: Claim = None,
    confidence: Annotated[float, typer.Option(help="of the intervals")] = 0.95,
    tolerance: Annotated[float, typer.Option(help="on an exponent")] = 0.1,
    statistic: Annotated[
        str | None, typer.Option(help="of a cell's readings: quiet, median or min")
    ] = None,
    predict: Annotated[
        list[str] | None,
        typer.Option(metavar="n=65536,d=1024", help="the cost of sizes not measured; repeatable"),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="24GiB", help="the largest size within time or memory: 2s,d=1024"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Judge claimed laws on any table of sizes and costs."""
    from reports.cells.asked import asked
    from reports.judge.fit_groups import fit_groups
    from reports.judge.together import together
    from reports.tables.read import read_tables
    from reports.verdicts.answers import Questions, check_answerable, documents, print_answers
    from reports.verdicts.doubts import marked_fits

    for option, number, low, high in (
        ("--confidence", confidence, 0.5, 1.0),
        ("--tolerance", tolerance, 0.0, 0.5),
    ):
        if not low < number < high:
            raise RequestError(f"{option}: expected between {low} and {high}, got {number}")
    if statistic not in (None, "quiet", "median", "min"):
        raise RequestError(f"--statistic: expected quiet, median or min, got {statistic}")
    sizes = _sizes(size)
    questions = Questions.of(predict or (), budget or (), sizes, claim)
    with _warnings_as_lines():
        table = read_tables(files)
        request = asked(
            table.frame,
            sizes=sizes,
            values=value or [questions.cost or "time_s"],
            by=_columns(by),
            where=where or (),
            claim=claim,
        )
        questions.check(request.value)
        fits = fit_groups(
            request.frame,
            sizes=request.sizes,
            value=request.value,
            by=request.by,
            average=_columns(average) or (),
            claim=claim,
            confidence=confidence,
            tolerance=tolerance,
            statistic=statistic,
            parameters=table.parameters,
            info=table.shared_info,
        )
        joint = together(fits)
        if as_json:
            more = {} if joint is None else {"together": joint.to_dict()}
            _print_json({"fits": documents(fits, questions), **more})
        else:
            check_answerable(fits, questions)
            fits = marked_fits(fits, table)
            _show_verdicts(fits)
            if joint is not None:
                _console().print(joint.text)
            print_answers(fits, questions, _console())
    return _verdict_code(fits, joint)


@app.command(name="report")
def report_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="runs or tables")],
    size: Sizes = None,
    value: Values = None,
    by: By = None,
    where: Where = None,
    claim: Claim = None,
    out: Out = None,
) -> int:
    """Write figures, tables, HTML and Markdown from records or any table alone."""
    from reports.page.page import report
    from reports.page.restated import Question

    question = Question(
        sizes=_sizes(size),
        values=value,
        by=_columns(by),
        where=where or (),
        claim=claim,
    )
    with _warnings_as_lines():
        written = report(runs, out, question)
    _say(f"report: {written.index}")
    return DONE


@app.command(name="run")
@_takes_measuring_options
def run_command(
    *,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="exit 0 whatever the verdicts; failed checks give 1")
    ] = False,
    **options: Any,
) -> int:
    """Verify, sweep, fit and report in one go."""
    folder, failed = _measure(**options)
    from reports.page.page import report
    from reports.tables.columns import TableError

    try:
        with _warnings_as_lines():
            written = report([folder])
    except TableError as problem:
        if not failed:
            raise
        _say(f"no report: {problem}")  # since nothing passed the checks, nothing was timed
        return FAILED
    _show_verdicts(written.fits)
    print(f"report: {written.index}")
    if failed:
        return FAILED
    times = [one for one in written.fits if one.value == "time_s"]
    return DONE if exit_zero else _verdict_code(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; bad input is one line on stderr and code 2."""
    # Whoever ends us, such as a timeout, ends the measuring process too.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a pipe on Windows may know no ✓
    try:
        code = app(args=arguments, prog_name="attnscale", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as problem:
        message = _as_one_line(problem)
        if message is None:
            raise
        _say(f"attnscale: {message}")
        code = WRONG_REQUEST
    sys.exit(code if isinstance(code, int) else DONE)


class RequestError(ValueError):
    """A request that the command line itself refuses."""


# By name, so that none of their modules is imported for the sake of a line of text.
USER_ERRORS = frozenset(
    {
        "CaseError",
        "CatalogueError",
        "LawError",
        "PlanError",
        "PredictionError",
        "ReportError",
        "RequestError",
        "RunError",
        "TableError",
        "UnitError",
    }
)


def _as_one_line(problem: Exception) -> str | None:
    """What the user did wrong, or None if the mistake is ours."""
    shown = getattr(problem, "format_message", None)  # typer's usage errors have it
    if callable(shown):
        # Without any argument the help is shown, and the message is empty.
        return f"{' '.join(str(shown()).split()) or 'a command is needed'} (attnscale --help)"
    return _printable(problem) if type(problem).__name__ in USER_ERRORS else None


def _printable(text: object) -> str:
    """The text on one line, also where it quotes a file with line ends inside of its names."""
    return "".join(one if one.isprintable() else " " for one in str(text))


def _measure(**options: Any) -> tuple[Path, bool]:
    """Run the sweep that the options ask for: its directory, and whether a check failed."""
    from bench.process.supervisor import Worker

    names, specs = options.pop("names") or (), options.pop("impl") or ()
    with Worker(threads=1) as worker:  # where the user's files are imported
        with _progress() as shown, _warnings_as_lines():
            shown.phase(STARTING)
            if specs:
                worker.begin()
            from bench.plan.request import Request
            from bench.process.kernels import Kernels

            kernels = Kernels(worker, keep_lost=True, tell=shown.phase)
            request = Request(names=names, specs=specs, **options)
            folder = request.folder
            plan = request.plan(kernels.load)
        with _interruptible(f"sweep --resume --out {folder} continues it"):
            failed = _sweep(
                plan, folder, request.resume, request.name, kernels, _seconds_since_start()
            )
    _say(f"{_tally(folder)}\nrun: {folder}")
    return folder, failed


def _records(folder: Path) -> list[Record]:
    import warnings

    from bench.records import RECORDS_FILE, read_records

    with warnings.catch_warnings(action="ignore"):  # the sweep has told of broken lines
        return list(read_records(folder / RECORDS_FILE))


def _doubts(folder: Path) -> list[str]:
    """A line for each implementation that was wrong somewhere: what of it is timed, what is not."""
    records = _records(folder)
    import pandas as pd

    from bench.records import read_info
    from reports.verdicts.doubts import doubts

    frame = pd.DataFrame([one.to_dict() for one in records])
    return list(doubts(frame, read_info(folder)).values())


def _tally(folder: Path) -> str:
    """What became of the cells, and the first reason of those without a time."""
    from collections import Counter

    from bench.plan.cells import case_of

    cells: dict[object, Record] = {}
    for record in _records(folder):
        key = (record.implementation, case_of(record))
        if key not in cells or cells[key].status != "measured":
            cells[key] = record
    parts = []
    lost = [one for one in _records(folder) if one.status in ("crashed", "timeout")]
    for status, count in Counter(one.status for one in cells.values()).most_common():
        reasons = Counter(r.reason for r in cells.values() if r.status == status and r.reason)
        told = reasons and status != "measured"
        why = f" (such as: {reasons.most_common(1)[0][0]})" if told else ""
        parts.append(f"{count} {status}{why}")
    again = [one for one in lost if cells[one.implementation, case_of(one)].status == "measured"]
    for one in again[:1]:
        parts.append(f"{len(again)} of them lost at another time ({one.status}: {one.reason})")
    return f"cells: {', '.join(parts)}"


def _seconds_since_start() -> float:
    """How long this process has run: imports are part of what a command takes."""
    import time

    import psutil

    return max(0.0, time.time() - psutil.Process().create_time())


@contextlib.contextmanager
def _interruptible(how_to_continue: str) -> Iterator[None]:
    """On Ctrl-C tell that all is kept, and exit with 130; on a second one exit at once.

    What a batch has read is in a file before the next one is asked for, and a measuring process
    ends with its parent: there is nothing that a second Ctrl-C could break.
    """
    message = f"interrupted; what was measured is kept ({how_to_continue})"

    def at_once(number: int, frame: object) -> None:
        os.write(2, f"{message}\n".encode(errors="replace"))
        os._exit(INTERRUPTED)

    def first(number: int, frame: object) -> None:
        for one in before:
            signal.signal(one, at_once)
        if hasattr(signal, "SIGALRM"):  # C code, and some imports, lose a KeyboardInterrupt
            signal.signal(signal.SIGALRM, at_once)
            signal.alarm(LATEST_END_S)
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not in the main thread
        for one in (signal.SIGINT, signal.SIGTERM):
            before[one] = signal.signal(one, first)
    try:
        yield
    except KeyboardInterrupt:
        _say(message)
        for one in before:  # while Python takes its modules down another would print a traceback
            atexit.register(signal.signal, one, signal.SIG_IGN)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        for one, handler in before.items():
            signal.signal(one, handler)


def _sweep(
    plan: Plan,
    folder: Path,
    resume: bool,
    preset: str | None,
    kernels: Kernels | None = None,
    head_start_s: float = 0.0,
) -> bool:
    """Measure; whether a check of the gate failed."""
    from bench.checks.tables import failure_lines
    from bench.sweep.sweep import Sweep
    from reports.judge.precision import is_known
    from reports.laws.grammar import parse

    def law_value(law: str, case: Case) -> float:
        sizes = {"n": case.seq_len, "d": case.d_model, "h": case.num_heads, "b": case.batch}
        terms = parse(law)
        values = {name: sizes.get(name, 1) for name in terms.names}  # other letters are constants
        return sum(float(term.evaluate(values)) for term in terms)

    with _warnings_as_lines(), _progress() as shown:
        gate = Sweep(
            plan=plan,
            folder=folder,
            law_value=law_value,
            observer=shown,
            is_known=is_known,
            preset=preset,
            kernels=kernels,
            head_start_s=head_start_s,
        ).run(resume=resume)
    failures = failure_lines(gate.results)
    for line in failures:
        _say(f"check failed: {line}")
    for line in _doubts(folder):
        _say(line)
    return bool(failures) or any(
        one.status in ("incorrect", "implausible", "crashed") for one in _records(folder)
    )


def _show_verdicts(fits: Sequence[Fit]) -> None:
    from reports.verdicts.table import print_verdicts

    print_verdicts(fits, _console())


def _verdict_code(fits: Sequence[Fit], joint: Together | None = None) -> int:
    verdicts = {str(one.verdict) for one in fits}
    if joint is not None and joint.verdict != "inconclusive":
        # What groups have too few sizes to say, they say together.
        thin = ["too_few_sizes" in one.reasons for one in fits]
        verdicts = {str(one.verdict) for one, few in zip(fits, thin, strict=True) if not few}
        verdicts.add(str(joint.verdict))
    if "refuted" in verdicts:
        return FAILED
    return DONE if verdicts == {"confirmed"} else INCONCLUSIVE


def _sizes(texts: list[str] | None) -> dict[str, str] | None:
    if not texts:
        return None
    found: dict[str, str] = {}
    for text in texts:
        letter, _, column = text.partition("=")
        if not (letter and column):
            raise RequestError(f"--size: expected letter=column such as n=seq_len, got {text!r}")
        if not letter.isidentifier():
            raise RequestError(f"--size: a size is named by letters, as in n=seq_len, got {text!r}")
        if letter in found:
            raise RequestError(f"--size: {letter} is given twice, {found[letter]} and {column}")
        found[letter] = column
    return found


def _columns(texts: list[str] | None) -> list[str] | None:
    return [name for text in texts for name in text.split(",")] if texts else None


def _whole_sizes(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in (text or "").split(",") if text else ():
        letter, _, number = part.strip().partition("=")
        if not (letter.isidentifier() and number.isdigit() and letter not in found):
            raise RequestError(f"--at: expected sizes such as n=1048576,d=64, got {part.strip()!r}")
        found[letter] = int(number)
    return found


def _progress() -> LiveProgress | PlainProgress:
    from rich.console import Console

    from bench.sweep.progress import progress

    return progress(Console(stderr=True))


def _console() -> Console:
    from rich.console import Console

    return Console()


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Warnings that are findings for the user, such as a corrupt journal line, one line each."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for one in caught:
                _say(f"warning: {_printable(one.message)}")


def _print_json(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, allow_nan=False, indent=2))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
