-- schema_version: Which migration was applied last.
SELECT MAX(version) FROM schema_version;

-- add_schema_version: Note that a migration was applied.
INSERT INTO schema_version (version, applied) VALUES (:version, :applied);

-- add_run: Record a new run.
INSERT INTO runs (id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
                  host, pid, error, payload)
VALUES (:id, :flow, :target, :arguments, :state, :site, :created, :started, :stopped, :heartbeat,
        :host, :pid, :error, :payload);

-- save_run: Write all fields of a run anew.
UPDATE runs
SET flow = :flow, target = :target, arguments = :arguments, state = :state, site = :site,
    created = :created, started = :started, stopped = :stopped, heartbeat = :heartbeat,
    host = :host, pid = :pid, error = :error, payload = :payload
WHERE id = :id;

-- heartbeat: Say that the driver of a run lives.
UPDATE runs SET heartbeat = :time WHERE id = :id;

-- run: One run by its full id.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload
FROM runs WHERE id = :id;

-- run_ids_like: Ids of runs that begin or end like this, newest first.
SELECT id FROM runs
WHERE id LIKE :prefix ESCAPE '\' OR id LIKE :suffix ESCAPE '\'
ORDER BY created DESC, id DESC;

-- runs: Runs, newest first; of one flow unless that is empty.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload
FROM runs WHERE :flow IN ('', flow)
ORDER BY created DESC, id DESC LIMIT :limit;

-- add_jobs: Record jobs; one that the run has already takes the new state.
INSERT INTO jobs (run, number, key, task, fingerprint, recipe, upstream, site, state, reason)
VALUES (:run, :number, :key, :task, :fingerprint, :recipe, :upstream, :site, :state, :reason)
ON CONFLICT (run, number) DO UPDATE SET state = excluded.state, reason = excluded.reason;

-- set_states: Give jobs a state.
UPDATE jobs SET state = :state, reason = :reason WHERE run = :run AND number = :number;

-- add_attempts: Record attempts; what stands already stays.
INSERT INTO attempts (run, number, attempt, state, start, stop, cpu, memory, host, pid,
                      error_type, error_message, traceback, log_file, log_start, log_stop)
VALUES (:run, :number, :attempt, :state, :start, :stop, :cpu, :memory, :host, :pid,
        :error_type, :error_message, :traceback, :log_file, :log_start, :log_stop)
ON CONFLICT (run, number, attempt) DO NOTHING;

-- jobs: The jobs of a run in order of their numbers; of one state and one task unless these are empty.
SELECT run, number, key, task, fingerprint, recipe, upstream, site, state, reason
FROM jobs
WHERE run = :run AND :state IN ('', state) AND :task IN ('', task)
ORDER BY number;

-- job: One job by its number.
SELECT run, number, key, task, fingerprint, recipe, upstream, site, state, reason
FROM jobs WHERE run = :run AND number = :number;

-- job_names: What people may call the jobs of a run.
SELECT number, key, task, state FROM jobs WHERE run = :run ORDER BY number;

-- attempts: Attempts of a run at a range of jobs.
SELECT run, number, attempt, state, start, stop, cpu, memory, host, pid,
       error_type, error_message, traceback, log_file, log_start, log_stop
FROM attempts
WHERE run = :run AND number BETWEEN :first AND :last
ORDER BY number, attempt;

-- counts: How many jobs of each task are in each state; a task stands where its first job does.
SELECT task, state, COUNT(*), MIN(number) AS earliest
FROM jobs WHERE run = :run GROUP BY task, state ORDER BY earliest;

-- next_number: The first number that no job of the run has.
SELECT COALESCE(MAX(number) + 1, 0) FROM jobs WHERE run = :run;

-- numbers: Which number each key has in a run.
SELECT key, number FROM jobs WHERE run = :run ORDER BY number DESC;

-- attempts_made: The latest attempt at each job of a run.
SELECT number, MAX(attempt) FROM attempts WHERE run = :run GROUP BY number;

-- earlier_jobs: Jobs of the task in the last fifty runs before this (a run not recorded is the newest), most similar first.
SELECT j.run, j.number, j.key, j.task, j.fingerprint, j.recipe, j.upstream, j.site, j.state, j.reason
FROM jobs j
JOIN (SELECT r.id, r.created, CASE WHEN r.flow = this.flow THEN 0 ELSE 1 END AS foreign_flow
      FROM runs r LEFT JOIN runs this ON this.id = :run
      WHERE this.id IS NULL OR r.created < this.created OR (r.created = this.created AND r.id < this.id)
      ORDER BY foreign_flow, r.created DESC, r.id DESC LIMIT 50) e ON e.id = j.run
WHERE j.task = :task AND j.key <> :key
ORDER BY CASE WHEN j.recipe = :recipe THEN 0
              WHEN j.fingerprint = :fingerprint THEN 1
              WHEN j.number = :number THEN 2
              ELSE 3 END,
         e.foreign_flow, e.created DESC, e.id DESC, ABS(j.number - :number)
LIMIT 200;

-- add_results: Remember results; the first of a key stays.
INSERT INTO results (key, task, fingerprint, form, inputs, digest, size, format, inline,
                     run, created, seconds, memory)
VALUES (:key, :task, :fingerprint, :form, :inputs, :digest, :size, :format, :inline,
        :run, :created, :seconds, :memory)
ON CONFLICT (key) DO NOTHING;

-- lookup: What is known of these keys, with the bytes of the smallest only, and whether they lie elsewhere.
SELECT r.key, r.digest, r.size, r.format, CASE WHEN length(r.inline) <= 256 THEN r.inline END,
       r.run, r.seconds, r.inline IS NULL
FROM {keys} wanted CROSS JOIN results r WHERE r.key = wanted.value;

-- values: The stored values of these keys, with the bytes of small ones.
SELECT r.key, r.digest, r.size, r.format, r.inline
FROM {keys} wanted CROSS JOIN results r WHERE r.key = wanted.value;

-- priors: The newest results of each of these forms, with the digest of what they were made from.
SELECT r.form, r.inputs, r.digest, r.size, r.format, r.inline
FROM {forms} wanted
JOIN results r ON r.key IN (SELECT n.key FROM results n
                            WHERE n.form = wanted.value AND n.inputs IS NOT NULL
                            ORDER BY n.created DESC, n.key DESC LIMIT :limit)
ORDER BY r.form, r.created DESC, r.key DESC;

-- forget: Remember these results no longer.
DELETE FROM results WHERE key IN {keys};

-- known_since: The run that made a result, and when.
SELECT run, created FROM results WHERE key = :key;

-- add_durations: Take more jobs into a task's mean; the past counts for at most a thousand.
INSERT INTO durations (task, count, mean) VALUES (:task, :count, :mean)
ON CONFLICT (task) DO UPDATE SET
    mean = (durations.mean * durations.count + excluded.mean * excluded.count)
           / (durations.count + excluded.count),
    count = CASE WHEN durations.count + excluded.count > 1000 THEN 1000
                 ELSE durations.count + excluded.count END;

-- durations: Mean time of the jobs of these tasks.
SELECT task, mean FROM durations WHERE task IN {tasks};

-- add_fingerprints: Record what fingerprints are made of.
INSERT INTO fingerprints (id, task, parts) VALUES (:id, :task, :parts) ON CONFLICT (id) DO NOTHING;

-- fingerprint: What a fingerprint is made of.
SELECT parts FROM fingerprints WHERE id = :id;

-- add_reports: Record reports; the newest of a key and ordinal stays.
INSERT INTO reports (key, ordinal, kind, title, data, content, task, time)
VALUES (:key, :ordinal, :kind, :title, :data, :content, :task, :time)
ON CONFLICT (key, ordinal) DO UPDATE SET
    kind = excluded.kind, title = excluded.title, data = excluded.data,
    content = excluded.content, task = excluded.task, time = excluded.time;

-- reports: The reports of a run's jobs, each once.
SELECT r.key, r.ordinal, r.kind, r.title, r.data, r.content, r.task, r.time
FROM (SELECT key, MIN(number) AS number FROM jobs WHERE run = :run GROUP BY key) j
JOIN reports r ON r.key = j.key
ORDER BY j.number, r.ordinal;

-- add_events: Record events.
INSERT INTO events (run, kind, time, key, data) VALUES (:run, :kind, :time, :key, :data);

-- events: Events of a run whose kind is like this, later than a time and after an ordinal.
SELECT ordinal, run, kind, time, key, data
FROM events
WHERE run = :run AND ordinal > :ordinal AND time > :time AND kind LIKE :kind ESCAPE '\'
ORDER BY ordinal;

-- add_file_digests: Record the digests of files; a file has one.
INSERT INTO file_digests (path, inode, size, mtime_ns, digest)
VALUES (:path, :inode, :size, :mtime_ns, :digest)
ON CONFLICT (path) DO UPDATE SET
    inode = excluded.inode, size = excluded.size,
    mtime_ns = excluded.mtime_ns, digest = excluded.digest;

-- file_digests: What is recorded of these files.
SELECT path, inode, size, mtime_ns, digest FROM file_digests WHERE path IN {paths};
