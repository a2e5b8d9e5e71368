-- schema_version: Which migration was applied last.
SELECT MAX(version) FROM schema_version;

-- add_schema_version: Note that a migration was applied.
INSERT INTO schema_version (version, applied) VALUES (:version, :applied);

-- add_run: Record a new run.
INSERT INTO runs (id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
                  host, pid, error, payload, parent, ordinal)
VALUES (:id, :flow, :target, :arguments, :state, :site, :created, :started, :stopped, :heartbeat,
        :host, :pid, :error, :payload, :parent, :ordinal);

-- save_run: Write all fields of a run anew.
UPDATE runs
SET flow = :flow, target = :target, arguments = :arguments, state = :state, site = :site,
    created = :created, started = :started, stopped = :stopped, heartbeat = :heartbeat,
    host = :host, pid = :pid, error = :error, payload = :payload, parent = :parent, ordinal = :ordinal
WHERE id = :id;

-- heartbeat: Say that the driver of a run lives.
UPDATE runs SET heartbeat = :time WHERE id = :id;

-- driver: Who began a run last, and when.
SELECT started, host, pid FROM runs WHERE id = :id;

-- run: One run by its full id.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload, parent, ordinal
FROM runs WHERE id = :id;

-- run_ids_like: Ids of runs that begin or end like this, newest first.
SELECT id FROM runs
WHERE id LIKE :prefix ESCAPE '\' OR id LIKE :suffix ESCAPE '\'
ORDER BY created DESC, id DESC;

-- runs: Runs, newest first; of one flow unless that is empty, only those at the top of their tree if `top` is 1.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload, parent, ordinal
FROM runs WHERE :flow IN ('', flow) AND (:top = 0 OR parent = '')
ORDER BY created DESC, id DESC LIMIT :limit;

-- children: The runs that a run started.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload, parent, ordinal
FROM runs WHERE parent = :run ORDER BY ordinal, created, id;

-- trees: These runs, those that they started, and so on down.
WITH RECURSIVE tree (id) AS (
    SELECT r.id FROM {runs} top CROSS JOIN runs r WHERE r.id = top.value
    UNION
    SELECT r.id FROM tree CROSS JOIN runs r WHERE r.parent = tree.id
)
SELECT r.id, r.flow, r.target, r.arguments, r.state, r.site, r.created, r.started, r.stopped, r.heartbeat,
       r.host, r.pid, r.error, r.payload, r.parent, r.ordinal
FROM tree CROSS JOIN runs r WHERE r.id = tree.id ORDER BY r.created, r.ordinal, r.id;

-- tree_ids: The ids of a run, of those that it started, and so on down.
WITH RECURSIVE tree (id) AS (
    SELECT id FROM runs WHERE id = :run
    UNION
    SELECT r.id FROM tree CROSS JOIN runs r WHERE r.parent = tree.id
)
SELECT id FROM tree;

-- line: A run, the one that started it, and so on up; the top of the tree last.
WITH RECURSIVE line (id, parent, height) AS (
    SELECT id, parent, 0 FROM runs WHERE id = :run
    UNION ALL
    SELECT r.id, r.parent, line.height + 1 FROM line CROSS JOIN runs r WHERE r.id = line.parent
)
SELECT id FROM line ORDER BY height;

-- add_jobs: Record jobs; one that the run has already takes the new state.
INSERT INTO jobs (run, number, key, task, fingerprint, recipe, upstream, site, state, reason)
VALUES (:run, :number, :key, :task, :fingerprint, :recipe, :upstream, :site, :state, :reason)
ON CONFLICT (run, number) DO UPDATE SET state = excluded.state, reason = excluded.reason;

-- set_states: Give jobs a state.
UPDATE jobs SET state = :state, reason = :reason WHERE run = :run AND number = :number;

-- add_attempts: Record attempts; what stands already stays.
INSERT INTO attempts (run, number, attempt, state, start, stop, cpu, memory, host, pid,
                      error_type, error_message, traceback, log_file, log_start, log_stop,
                      place, cores, asked, taken)
VALUES (:run, :number, :attempt, :state, :start, :stop, :cpu, :memory, :host, :pid,
        :error_type, :error_message, :traceback, :log_file, :log_start, :log_stop,
        :place, :cores, :asked, :taken)
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
       error_type, error_message, traceback, log_file, log_start, log_stop,
       place, cores, asked, taken
FROM attempts
WHERE run = :run AND number BETWEEN :first AND :last
ORDER BY number, attempt;

-- past: How long the latest attempts at jobs of a task took that succeeded, with the code and the size of what they got.
SELECT j.fingerprint, a.stop - a.start, a.taken
FROM jobs j CROSS JOIN attempts a
WHERE j.task = :task AND a.run = j.run AND a.number = j.number AND a.state = 'succeeded'
ORDER BY j.run DESC LIMIT :limit;

-- counts: How many jobs of each task are in each state; a task stands where its first job does.
SELECT task, state, COUNT(*), MIN(number) AS earliest
FROM jobs WHERE run = :run GROUP BY task, state ORDER BY earliest;

-- open_numbers: The jobs of a run in none of these states.
SELECT number FROM jobs WHERE run = :run AND state NOT IN {ends} ORDER BY number;

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

-- reports: The reports of a run's jobs, each once; then those that the body of its flow made in its latest execution.
SELECT r.key, r.ordinal, r.kind, r.title, r.data, r.content, r.task, r.time
FROM (
    SELECT key, MIN(number) AS number, 0.0 AS since FROM jobs WHERE run = :run GROUP BY key
    UNION ALL
    SELECT id, 2147483647, COALESCE(started, 0.0) FROM runs WHERE id = :run
) j
JOIN reports r ON r.key = j.key AND r.time >= j.since
ORDER BY j.number, r.ordinal;

-- metrics: The numbers that jobs of these keys reported.
SELECT r.key, r.title, r.data
FROM {keys} wanted CROSS JOIN reports r WHERE r.key = wanted.value AND r.kind = 'metric'
ORDER BY r.key, r.ordinal;

-- add_events: Record events.
INSERT INTO events (run, kind, time, key, data) VALUES (:run, :kind, :time, :key, :data);

-- events: The first events of these runs whose kind is like this, later than a time and after an ordinal.
SELECT ordinal, run, kind, time, key, data
FROM events
WHERE run IN {runs} AND ordinal > :ordinal AND time > :time AND kind LIKE :kind ESCAPE '\'
ORDER BY ordinal
LIMIT :most;

-- add_file_digests: Record the digests of files; a file has one.
INSERT INTO file_digests (path, inode, size, mtime_ns, digest)
VALUES (:path, :inode, :size, :mtime_ns, :digest)
ON CONFLICT (path) DO UPDATE SET
    inode = excluded.inode, size = excluded.size,
    mtime_ns = excluded.mtime_ns, digest = excluded.digest;

-- file_digests: What is recorded of these files.
SELECT path, inode, size, mtime_ns, digest FROM file_digests WHERE path IN {paths};

-- add_question: Record a question; one that is there already stays.
INSERT INTO questions (id, run, key, prompt, form, preset, created, deadline, state, answer, note,
                       answered, accepted, who)
VALUES (:id, :run, :key, :prompt, :form, :preset, :created, :deadline, :state, :answer, :note,
        :answered, :accepted, :who)
ON CONFLICT (id) DO NOTHING;

-- save_question: Write anew what may change of a question.
UPDATE questions
SET prompt = :prompt, form = :form, preset = :preset, deadline = :deadline, state = :state,
    answer = :answer, note = :note, answered = :answered, accepted = :accepted, who = :who
WHERE id = :id;

-- question: One question by its full id.
SELECT id, run, key, prompt, form, preset, created, deadline, state, answer, note, answered, accepted, who
FROM questions WHERE id = :id;

-- question_ids_like: Ids of questions that begin like this.
SELECT id FROM questions WHERE id LIKE :prefix ESCAPE '\' ORDER BY created, id;

-- questions: The questions of these runs, in the order in which they were asked; of one state unless that is empty.
SELECT id, run, key, prompt, form, preset, created, deadline, state, answer, note, answered, accepted, who
FROM questions WHERE run IN {runs} AND :state IN ('', state) ORDER BY created, id;

-- open_questions: The open questions of all runs, in the order in which they were asked.
SELECT id, run, key, prompt, form, preset, created, deadline, state, answer, note, answered, accepted, who
FROM questions WHERE state = 'open' ORDER BY created, id;

-- all_questions: The questions of all runs, in the order in which they were asked.
SELECT id, run, key, prompt, form, preset, created, deadline, state, answer, note, answered, accepted, who
FROM questions ORDER BY created, id;

-- add_context: Record a change of a value.
INSERT INTO context (run, name, stage, version, epoch, turn, time, content, digest, format, size, value, inline)
VALUES (:run, :name, :stage, :version, :epoch, :turn, :time, :content, :digest, :format, :size, :value, :inline);

-- context_again: Note that an execution made a change that an earlier one had made.
UPDATE context SET epoch = :epoch, turn = :turn
WHERE run = :run AND name = :name AND stage = :stage AND version = :version;

-- context_versions: The version of a value in one execution, in all of them, and the first one later than the former that is equal to a new one.
SELECT COALESCE(MAX(CASE WHEN epoch = :epoch THEN version END), 0),
       COALESCE(MAX(version), 0),
       (SELECT MIN(later.version) FROM context later
        WHERE later.run = :run AND later.name = :name AND later.stage = :stage AND later.content = :content
              AND later.version > (SELECT COALESCE(MAX(now.version), 0) FROM context now
                                   WHERE now.run = :run AND now.name = :name AND now.stage = :stage
                                         AND now.epoch = :epoch))
FROM context WHERE run = :run AND name = :name AND stage = :stage;

-- context_turn: The latest turn of a run.
SELECT COALESCE(MAX(turn), 0) FROM context WHERE run = :run;

-- context_history: The changes of a value in order, as one execution saw them; of all executions, of all stages if these are 1.
SELECT run, name, stage, version, epoch, turn, time, content, digest, format, size, value, inline
FROM context
WHERE run = :run AND name = :name AND (:every_stage = 1 OR stage = :stage) AND (:every_epoch = 1 OR epoch = :epoch)
ORDER BY turn;

-- context_latest: The latest change of a value in one execution; in one stage, or in any if `every_stage` is 1.
SELECT run, name, stage, version, epoch, turn, time, content, digest, format, size, value, inline
FROM context
WHERE run = :run AND name = :name AND (:every_stage = 1 OR stage = :stage) AND epoch = :epoch
ORDER BY turn DESC LIMIT 1;

-- context_now: The latest change of each value in each stage in one execution, in order.
SELECT c.run, c.name, c.stage, c.version, c.epoch, c.turn, c.time, c.content, c.digest, c.format, c.size, c.value, c.inline
FROM context c
JOIN (SELECT MAX(turn) AS turn FROM context WHERE run = :run AND epoch = :epoch GROUP BY name, stage) latest
  ON latest.turn = c.turn
WHERE c.run = :run
ORDER BY c.turn;

-- context_places: The names and stages of the values of one execution, in the order of their first changes.
SELECT name, stage, MIN(turn) AS earliest
FROM context WHERE run = :run AND epoch = :epoch GROUP BY name, stage ORDER BY earliest;

-- add_holdings: Record that stored values mention objects.
INSERT INTO holdings (value, object) VALUES (:value, :object) ON CONFLICT (value, object) DO NOTHING;

-- holdings: The objects that these stored values mention.
SELECT h.value, h.object FROM {digests} wanted CROSS JOIN holdings h WHERE h.value = wanted.value
ORDER BY h.value, h.object;

-- any_holding: Whether a stored value mentions an object.
SELECT 1 FROM holdings LIMIT 1;

-- needed_results: A page of the results whose bytes lie in the artifact store, in order.
SELECT DISTINCT digest, format FROM results
WHERE inline IS NULL AND (digest, format) > (:digest, :format)
ORDER BY digest, format LIMIT :limit;

-- needed_contexts: The values of contexts whose bytes lie in the artifact store.
SELECT DISTINCT digest, format FROM context WHERE inline IS NULL AND format <> '';

-- needed_holdings: A page of the objects that values mention which are remembered still, in order.
SELECT DISTINCT object FROM holdings
WHERE object > :object AND value IN (SELECT digest FROM results UNION SELECT digest FROM context)
ORDER BY object LIMIT :limit;

-- referring: The results that are an object, or that mention it; the newest first.
SELECT run, key, task, created FROM results
WHERE digest = :object OR digest IN (SELECT value FROM holdings WHERE object = :object)
ORDER BY created DESC, key LIMIT :limit;

-- referring_contexts: The values of contexts that are an object, or that mention it.
SELECT DISTINCT run, name FROM context
WHERE digest = :object OR digest IN (SELECT value FROM holdings WHERE object = :object)
ORDER BY run, name;

-- unfinished: The runs in none of these states, oldest first.
SELECT id, flow, target, arguments, state, site, created, started, stopped, heartbeat,
       host, pid, error, payload, parent, ordinal
FROM runs WHERE state NOT IN {ends} ORDER BY created, id;

-- payloads: The pickled arguments of the runs in none of these states.
SELECT payload FROM runs WHERE state NOT IN {ends} AND payload IS NOT NULL;

-- recipes: The arguments of the jobs of the runs in none of these states.
SELECT DISTINCT j.recipe FROM runs r JOIN jobs j ON j.run = r.id WHERE r.state NOT IN {ends};

-- fetched: What jobs of `fetch` gave.
SELECT inline FROM results WHERE task = 'fetch' AND inline IS NOT NULL;

-- add_meta: Note something about the journal itself; what stands already stays.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- meta: What is noted about the journal itself.
SELECT value FROM meta WHERE name = :name;

-- announce: Count an announcement on a channel.
INSERT INTO meta (name, value) VALUES (:name, '1')
ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT);

-- put_unit: Note with what is written that it was.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- drop_units: Forget what was noted of units long ago.
DELETE FROM meta WHERE name LIKE 'unit %' AND value < :before;

-- uptime: How long a server of PostgreSQL has been up [s].
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp() - pg_postmaster_start_time()) AS REAL);
