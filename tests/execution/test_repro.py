import os, threading, time, pickle
from pathlib import Path
import pytest
from daskflow.errors import *
from daskflow.model.states import *
pytestmark = pytest.mark.timeout(15, method="thread") if False else pytest.mark.timeout(40)

def test_twice_in_session(lab):
    @lab.task
    def work(x): return x+1
    assert work(1).result(5) == 2
    assert work(1).result(5) == 2
    assert work(work(1)).result(5) == 3

def test_early_twin(lab):
    @lab.task
    def work(x): return x+1
    early = work(1)
    @lab.flow
    def study():
        work(1)
        return work(early)
    assert study() == 3

def test_plan_then_run(lab):
    @lab.task
    def work(x): return x+1
    early = work(1)
    @lab.flow
    def study(e):
        return work(e)
    study.plan(early)
    assert study(early) == 3

def test_inner_sync(lab):
    @lab.task
    def inner(): return 1
    @lab.task
    def outer(): return inner().result(5)
    @lab.flow(site="synchronous")
    def study(): return outer()
    with pytest.raises(RunFailed):
        study()

def test_unknown_site_result(lab):
    @lab.task
    def work(x): return x+1
    @lab.flow
    def study():
        return work(1, site="mars").result()
    with pytest.raises(SiteUnknown):
        study()

def test_cross_site_skip(lab):
    @lab.task
    def bad(x): raise ValueError(x)
    @lab.task
    def after(x): return x
    @lab.flow(site="threads")
    def study():
        return after(bad(1), site="synchronous")
    with pytest.raises(RunFailed):
        study.submit().result(10)

class Odd:
    def __init__(self): self.lock = threading.Lock()
    def __dask_tokenize__(self): return "odd"

@pytest.mark.parametrize("site", ["synchronous", "threads"])
def test_unpicklable_argument(lab, site):
    @lab.task
    def work(x): return 1
    @lab.task
    def fine(x): return x
    @lab.flow(site=site)
    def study():
        fine(3)
        return work(Odd())
    run = study.submit()
    with pytest.raises(RunFailed):
        run.result(10)

def test_two_runs_same_job(lab, tmp_path):
    gate = str(tmp_path/"gate")
    @lab.task
    def slow(x):
        while not os.path.exists(gate): time.sleep(0.01)
        return x
    @lab.flow(site="threads")
    def study(): return slow(1)
    a = study.submit(); b = study.submit()
    time.sleep(0.5)
    Path(gate).touch()
    assert a.result(5) == 1
    assert b.result(5) == 1

def test_path_cutoff(lab, tmp_path):
    f = tmp_path/"a.txt"; f.write_text("one")
    @lab.task
    def base(x): return abs(x)
    @lab.task
    def read(p: Path, y): return p.read_text()+str(y)
    @lab.flow
    def study(): return read(f, base(1))
    assert study() == "one1"
    f.write_text("two2")
    assert study() == "two21"

def test_nocache_cutoff(lab, tmp_path):
    n = []
    @lab.task
    def base(x): return abs(x)
    @lab.task(cache="run")
    def dep(y): n.append(1); return y
    @lab.flow
    def study(): return dep(base(1))
    study(); study()
    assert len(n) == 2

@pytest.mark.parametrize("site", ["synchronous", "threads", "local"])
def test_timeout_task(lab, site):
    @lab.task(timeout=8)
    def t(x):
        print("hello"); return x
    @lab.flow(site=site)
    def study(): return t(1)
    run = study.submit()
    assert run.result(30) == 1
    assert run.jobs[0].log() == "hello\n"

def test_interrupted_result(lab):
    @lab.task
    def work(x): return x
    @lab.flow
    def study():
        kept.append(work(1))
        raise KeyboardInterrupt
    kept = []
    with pytest.raises(KeyboardInterrupt):
        study()
    with pytest.raises(DaskflowError):
        kept[0].result()
