-- add_work: Queue a work.
INSERT INTO works (id, pipeline, site, username, parent, status, priority, attempt, retries, timeout, final, locked,
                   creation, holder, payload)
VALUES (:id, :pipeline, :site, :username, :parent, 'queued', :priority, :attempt, :retries, :timeout, 0, 0,
        :creation, '', :payload);

-- add_work_mark: Note an event or a tag of a work.
INSERT INTO works_marks (kind, value, work)
SELECT :kind, :value, ordinal FROM works WHERE id = :id ON CONFLICT (kind, value, work) DO NOTHING;

-- withdraw: Take the work that comes first.
UPDATE works
SET status = 'running', attempt = attempt + 1, start = CLOCK, stop = NULL, outcome = NULL, final = 0,
    expires = CLOCK + COALESCE(:lease, timeout), holder = :holder
WHERE ordinal = (
    SELECT w.ordinal FROM works w
    WHERE w.status = 'queued' AND w.pipeline IN {pipelines}
          AND :site IN ('', w.site) AND :username IN ('', w.username) AND :priority IN (0, w.priority)
          AND (:any_parent = 1 OR w.parent IN {parents})
          AND (:any_event = 1 OR EXISTS (SELECT 1 FROM works_marks m WHERE m.work = w.ordinal AND m.kind = 'event'
                                                                           AND m.value IN {events}))
          AND (:any_tag = 1 OR EXISTS (SELECT 1 FROM works_marks m WHERE m.work = w.ordinal AND m.kind = 'tag'
                                                                         AND m.value IN {tags}))
    ORDER BY w.priority DESC, w.ordinal LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING id, status, priority, attempt, retries, timeout, final, locked, creation, start, stop, payload, outcome;

-- update_work: Write a work anew if its attempt is still the latest.
UPDATE works
SET status = :status, priority = :priority, retries = :retries, timeout = :timeout, final = :final, start = :start,
    stop = :stop, expires = CASE WHEN :status = 'running' THEN expires END, payload = :payload, outcome = :outcome
WHERE id = :id AND attempt = :attempt AND locked = 0
RETURNING id;

-- work_heartbeat: Hold a work for longer; one that was queued again and taken by nobody yet is taken back.
UPDATE works SET expires = CLOCK + :lease, status = 'running'
WHERE id = :id AND attempt = :attempt AND status IN ('running', 'queued')
RETURNING id;

-- give_back_work: Queue a work again as if nobody had taken it.
UPDATE works SET status = 'queued', attempt = attempt - 1, start = NULL, expires = NULL, holder = ''
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING id;

-- works: All works in order of their deposit.
SELECT id, status, priority, attempt, retries, timeout, final, locked, creation, start, stop, payload, outcome
FROM works ORDER BY ordinal DESC;

-- work: One work.
SELECT id, status, priority, attempt, retries, timeout, final, locked, creation, start, stop, payload, outcome
FROM works WHERE id = :id;

-- delete_works: Delete works.
DELETE FROM works WHERE id IN {ids} RETURNING ordinal;

-- delete_work_marks: Forget the events and tags of works.
DELETE FROM works_marks WHERE work NOT IN (SELECT ordinal FROM works);

-- locked_works: Which of these works are locked.
SELECT id FROM works WHERE id IN {ids} AND locked = 1;

-- work_counts: How many works of each bucket, or of one, have each status.
SELECT pipeline, status, COUNT(*) FROM works WHERE :pipeline IN ('', pipeline) GROUP BY pipeline, status
ORDER BY pipeline, status;

-- audit_failed: Queue again what failed and has attempts left.
UPDATE works SET status = 'queued' WHERE status = 'failure' AND attempt < retries AND final = 0 AND locked = 0
RETURNING id;

-- audit_expired: Let fail what was held for longer than it may.
UPDATE works SET status = 'failure', stop = CLOCK WHERE status = 'running' AND expires < CLOCK RETURNING id;

-- audit_stale: Let fail for good what waits for too long.
UPDATE works SET status = 'failure', final = 1, stop = CLOCK
WHERE status = 'queued' AND creation < CLOCK - :stale
RETURNING id;

-- lock_works: Lock works, or unlock them.
UPDATE works SET locked = :locked WHERE id IN {ids} RETURNING id;
