-- add_work: Add a work, queued or ended. One that was made long ago has waited since.
INSERT INTO works (id, pipeline, site, username, parent, status, priority, attempt, given_back, retries, timeout, final,
                   locked, creation, waiting, start, stop, holder, marks, payload, outcome)
SELECT :id, :pipeline, :site, :username, :parent, :status, :priority, :attempt, :given_back, :retries, :timeout, :final,
       0, given.creation, CASE WHEN given.creation < CLOCK THEN given.creation ELSE CLOCK END, CAST(:start AS REAL),
       CAST(:stop AS REAL), '', :marks, :payload, :outcome
FROM (SELECT CAST(:creation AS REAL) AS creation) AS given;

-- add_work_mark: Note an event or a tag of a work.
INSERT INTO works_marks (kind, value, work)
SELECT CAST(:kind AS TEXT), CAST(:value AS TEXT), ordinal FROM works WHERE id = :id
ON CONFLICT (kind, value, work) DO NOTHING;

-- marked: Whether many works have one of these marks; looks at no more than `most` of them.
SELECT COUNT(*) FROM (SELECT 1 FROM works_marks WHERE kind = :kind AND value IN {values} LIMIT :most) AS counted;

-- withdraw: Take the work that comes first. Few works with a mark are looked for by it, many are met in the queue. Of
-- several buckets the first works are compared: in PostgreSQL more than one, for some may be taken at this moment.
UPDATE works
SET status = 'running', attempt = attempt + 1, start = CLOCK, stop = NULL, outcome = NULL, final = 0,
    expires = CLOCK + COALESCE(:lease, timeout), holder = :holder
WHERE ordinal = (
    SELECT w.ordinal FROM works w
    WHERE w.status = 'queued' AND w.locked = 0
          AND w.pipeline = :pipeline  --? one
          AND w.pipeline IN {pipelines}  --? several
          AND w.ordinal IN (SELECT (SELECT h.ordinal FROM works h WHERE h.status = 'queued' AND h.locked = 0 AND h.pipeline = p.value  --? heads_sqlite
                                    AND h.site = :site  --? heads_sqlite_site
                                    ORDER BY h.priority DESC, h.ordinal LIMIT 1) FROM {pipelines} AS p)  --? heads_sqlite
          AND w.ordinal IN (SELECT c.ordinal FROM {pipelines} AS p CROSS JOIN LATERAL (  --? heads_postgresql
                                SELECT h.ordinal FROM works h WHERE h.status = 'queued' AND h.locked = 0 AND h.pipeline = p.value  --? heads_postgresql
                                AND h.site = :site  --? heads_postgresql_site
                                ORDER BY h.priority DESC, h.ordinal LIMIT 32) AS c)  --? heads_postgresql
          AND w.pipeline || '' IN {pipelines}  --? marked
          AND w.site = :site  --? site
          AND w.username = :username  --? user
          AND w.priority = :priority  --? priority
          AND w.parent IN {parents}  --? parent
          AND w.ordinal IN (SELECT m.work FROM works_marks m WHERE m.kind = 'event' AND m.value IN {events})  --? event_few
          AND w.ordinal IN (SELECT m.work FROM works_marks m WHERE m.kind = 'tag' AND m.value IN {tags})  --? tag_few
          AND EXISTS (SELECT 1 FROM works_marks m WHERE m.work = w.ordinal AND m.kind = 'event' AND m.value IN {events})  --? event_many
          AND EXISTS (SELECT 1 FROM works_marks m WHERE m.work = w.ordinal AND m.kind = 'tag' AND m.value IN {tags})  --? tag_many
    ORDER BY w.priority DESC, w.ordinal LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING id, pipeline, site, username, status, priority, attempt, given_back, retries, timeout, final, locked,
          creation, start, stop, holder, payload, outcome;

-- update_work: Write a work anew if its attempt is still the latest, what it is found by is as before, and the status
-- may follow. Who holds a work that was locked meanwhile may still end it. Who ends one without saying when ends it now.
-- A failure that is no fault of the work does not count.
UPDATE works
SET pipeline = :pipeline, site = :site, username = :username, parent = :parent, status = :status,
    priority = :priority, retries = :retries, timeout = :timeout, final = :final, start = :start,
    given_back = given_back + CASE WHEN status = 'running' AND :status = 'failure' AND :given_back = given_back + 1
                                   THEN 1 ELSE 0 END,
    stop = COALESCE(:stop, CASE WHEN :status NOT IN ('success', 'failure') THEN NULL
                                WHEN status = :status THEN stop ELSE CLOCK END),
    waiting = CASE WHEN :status = 'queued' AND status <> 'queued' THEN CLOCK ELSE waiting END,
    expires = CASE WHEN :status = 'running' THEN expires END,
    holder = CASE WHEN :status = 'queued' THEN '' ELSE holder END,
    payload = :payload, outcome = :outcome
WHERE id = :id AND attempt = :attempt AND marks = :marks AND :before LIKE '%' || status || '%'
      AND (locked = 0 OR status = 'running')
RETURNING id;

-- hold_work: Let nobody else change a work until this transaction ends; gives its ordinal.
UPDATE works SET locked = locked WHERE id = :id RETURNING ordinal;

-- held_work: Let nobody else change a work that is held by this attempt until this transaction ends.
UPDATE works SET locked = locked WHERE id = :id AND attempt = :attempt AND expires IS NOT NULL RETURNING ordinal;

-- mark_work: Note by what a work is found.
UPDATE works SET marks = :marks WHERE id = :id AND attempt = :attempt;

-- unmark_work: Forget by what a work was found.
DELETE FROM works_marks WHERE work = :ordinal;

-- work_heartbeat: Hold a work for longer; one whose lease seemed over is taken back as long as nobody else has it.
UPDATE works
SET expires = CLOCK + :lease, status = 'running', stop = NULL, final = 0,
    outcome = CASE WHEN status = 'running' THEN outcome END
WHERE id = :id AND attempt = :attempt AND expires IS NOT NULL
RETURNING id;

-- give_back_work: Queue a work again; the attempt does not count.
UPDATE works
SET status = 'queued', given_back = given_back + 1, start = NULL, stop = NULL, final = 0, expires = NULL, holder = '',
    outcome = NULL, waiting = CLOCK
WHERE id = :id AND attempt = :attempt AND expires IS NOT NULL
RETURNING id;

-- fail_work: Let a work fail for good that is held, and leave all else as it is.
UPDATE works SET status = 'failure', final = 1, stop = CLOCK, expires = NULL, outcome = :outcome
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING id;

-- works_found: A page of works, those deposited last first.
SELECT id, pipeline, site, username, status, priority, attempt, given_back, retries, timeout, final, locked,
       creation, start, stop, holder, payload, outcome, ordinal
FROM works
WHERE ordinal < :below
      AND id IN {ids}  --? id
      AND pipeline = :pipeline  --? pipeline
      AND pipeline IN {pipelines}  --? pipelines
      AND status = :status  --? status
      AND status IN {statuses}  --? statuses
      AND site IN {sites}  --? site
      AND username IN {users}  --? user
      AND parent IN {parents}  --? parent
      AND parent <> ''  --? parent
      AND ordinal IN (SELECT work FROM works_marks WHERE kind = 'event' AND value IN {events})  --? event
      AND ordinal IN (SELECT work FROM works_marks WHERE kind = 'tag' AND value IN {tags})  --? tag
      AND EXISTS (SELECT 1 FROM {in_payload} AS likely WHERE payload LIKE likely.value ESCAPE '\')  --? in_payload
      AND EXISTS (SELECT 1 FROM {in_outcome} AS likely WHERE outcome LIKE likely.value ESCAPE '\')  --? in_outcome
ORDER BY ordinal DESC LIMIT :most OFFSET :skip;

-- works_counted: How many works there are.
SELECT COUNT(*) FROM works
WHERE 1 = 1
      AND id IN {ids}  --? id
      AND pipeline = :pipeline  --? pipeline
      AND pipeline IN {pipelines}  --? pipelines
      AND status = :status  --? status
      AND status IN {statuses}  --? statuses
      AND site IN {sites}  --? site
      AND username IN {users}  --? user
      AND parent IN {parents}  --? parent
      AND parent <> ''  --? parent
      AND ordinal IN (SELECT work FROM works_marks WHERE kind = 'event' AND value IN {events})  --? event
      AND ordinal IN (SELECT work FROM works_marks WHERE kind = 'tag' AND value IN {tags})  --? tag
;

-- work: One work.
SELECT id, pipeline, site, username, status, priority, attempt, given_back, retries, timeout, final, locked,
       creation, start, stop, holder, payload, outcome
FROM works WHERE id = :id;

-- delete_works: Delete works that are not locked.
DELETE FROM works WHERE id IN {ids} AND locked = 0 RETURNING CAST(ordinal AS TEXT);

-- delete_work_marks: Forget the events and tags of works.
DELETE FROM works_marks WHERE work IN (SELECT CAST(value AS INTEGER) FROM {ordinals} AS gone);

-- locked_works: Which of these works are locked.
SELECT id FROM works WHERE id IN {ids} AND locked = 1;

-- work_counts: How many works of each bucket, or of one, have each status.
SELECT pipeline, status, COUNT(*) FROM works
WHERE pipeline = :pipeline  --? one
GROUP BY pipeline, status ORDER BY pipeline, status;

-- audit_failed: Queue again what failed and has attempts left.
UPDATE works SET status = 'queued', waiting = CLOCK
WHERE status = 'failure' AND final = 0 AND locked = 0 AND retries > attempt - given_back
RETURNING id;

-- audit_expired: Let fail what was held for longer than it may.
UPDATE works SET status = 'failure', stop = CLOCK, outcome = :outcome
WHERE status = 'running' AND expires < CLOCK
RETURNING id;

-- audit_stale: Let fail for good what waits for too long.
UPDATE works SET status = 'failure', final = 1, stop = CLOCK, expires = NULL, outcome = :outcome
WHERE status = 'queued' AND locked = 0 AND waiting < CLOCK - :stale
RETURNING id;

-- lock_works: Lock works, or unlock them.
UPDATE works SET locked = :locked WHERE id IN {ids} RETURNING id;
