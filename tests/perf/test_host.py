"""Where a measurement was made, and where it is kept."""

import json

from perf.host import describe_host, keep, read_commit


def make_repository(path):
    (path / "refs" / "heads").mkdir(parents=True)
    (path / "refs" / "heads" / "main").write_text("0123abcd\n")
    (path / "HEAD").write_text("ref: refs/heads/main\n")


def test_commit_is_read_with_and_without_branch(tmp_path):
    assert read_commit(tmp_path) == ""
    make_repository(tmp_path / ".git")
    assert read_commit(tmp_path) == "0123abcd"
    (tmp_path / ".git" / "HEAD").write_text("89abcdef\n")
    assert read_commit(tmp_path) == "89abcdef"


def test_commit_of_a_further_work_tree_is_its_own(tmp_path):
    make_repository(tmp_path / "main" / ".git")
    (tmp_path / "main" / ".git" / "refs" / "heads" / "topic").write_text("5213beef\n")
    own = tmp_path / "main" / ".git" / "worktrees" / "topic"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/topic\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "topic").mkdir()
    (tmp_path / "topic" / ".git").write_text(f"gitdir: {own}\n")
    assert read_commit(tmp_path / "topic") == "5213beef"


def test_document_is_kept_under_what_and_when(tmp_path):
    document = {"measurement": "quickness", "host": describe_host()}
    path = keep(document, tmp_path / "results")
    assert path.name.startswith("quickness-2")
    assert ":" not in path.name
    assert json.loads(path.read_text()) == document
