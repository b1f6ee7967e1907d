"""`--shard N/OF`: which file belongs to which shard."""

from collections import Counter
from pathlib import Path

import pytest

from gradlint.core.errors import UsageError
from gradlint.engine.collect import Job
from gradlint.engine.shards import parse
from gradlint.engine.shards.partition import partition

MODEL = "class {name}(nn.Module):\n    def forward(self, x):\n        return x\n"


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """30 files with models, one of them with many, and 60 with none."""
    texts = [MODEL.format(name="Net") for _ in range(29)] + ["".join(MODEL.format(name=f"N{i}") for i in range(20))]
    texts += ["x = 1\n"] * 60
    for number, text in enumerate(texts):
        (tmp_path / f"f{number}.py").write_text(text)
    return [Job(str(tmp_path / f"f{number}.py"), f"f{number}.py") for number in range(90)]


def test_what_names_a_shard() -> None:
    assert (parse("3/8").index, parse("3/8").total) == (3, 8)
    assert (parse("1/1").index, parse("10000/10000").total) == (1, 10000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/8", "there is no shard 0 of 8"),
        ("9/8", "there is no shard 9 of 8"),
        ("1/0", "expected 1 to 10000 shards"),
        ("1/99999", "expected 1 to 10000 shards"),
        *(
            (text, "is no shard")
            for text in ("x", "", "3", "3/", "/8", "3/8/2", "-1/8", "1.5/8", "3 / 8", "٣/٨", "3/8\n")
        ),
    ],
)
def test_what_names_none(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.remedy == "as in --shard 3/8: the third of eight, counted from 1"


def test_every_file_is_in_one_shard_and_every_shard_has_its_share(jobs: list[Job]) -> None:
    listed = partition(jobs, 5)
    assert [item.path for item in listed] == [job.shown for job in jobs]
    models = Counter(item.shard for item in listed[:29])
    heavy = listed[29].shard
    assert models[heavy] == 0  # 20 models in one file, and 29 for four others
    assert sorted(models[shard] for shard in range(1, 6) if shard != heavy) == [7, 7, 7, 8]
    assert sum(item.shard in range(1, 6) for item in listed) == 90


def test_files_without_a_model_are_shared_out_too(jobs: list[Job]) -> None:
    assert Counter(item.shard for item in partition(jobs[30:], 4)) == {1: 15, 2: 15, 3: 15, 4: 15}


def test_neither_the_order_of_paths_nor_the_place_matters(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = sorted((item.path, item.shard) for item in partition(jobs, 7))
    assert sorted((item.path, item.shard) for item in partition(jobs[::-1], 7)) == expected
    monkeypatch.chdir(tmp_path.parent)
    other = tmp_path.rename(tmp_path.with_name("zz_elsewhere"))
    monkeypatch.chdir(other)
    moved = [Job(str(other / job.shown), job.shown) for job in jobs]
    assert sorted((item.path, item.shard) for item in partition(moved, 7)) == expected


def test_more_shards_than_files(jobs: list[Job]) -> None:
    listed = partition(jobs[:3], 8)
    assert sorted(item.shard for item in listed) == [1, 2, 3]
    assert partition([], 8) == ()


def test_a_file_that_cannot_be_read_is_in_some_shard(tmp_path: Path) -> None:
    (item,) = partition([Job(str(tmp_path / "gone.py"), "gone.py")], 3)
    assert item.shard == 1
