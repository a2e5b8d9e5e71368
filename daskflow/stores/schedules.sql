-- add_schedule: Record a schedule.
INSERT INTO schedules (id, name, cron, timezone, lives, state, document, created, due, latest)
VALUES (:id, :name, :cron, :timezone, :lives, :state, :document, :created, :due, :latest);

-- schedules: All schedules, oldest first.
SELECT id, name, cron, timezone, lives, state, document, created, due, latest FROM schedules ORDER BY created, id;

-- schedule: One schedule.
SELECT id, name, cron, timezone, lives, state, document, created, due, latest FROM schedules WHERE id = :id;

-- schedule_ids_like: Ids that begin with a text.
SELECT id FROM schedules WHERE id LIKE :prefix ESCAPE '\' ORDER BY id;

-- turn_schedule: Pause a schedule, or let it go on.
UPDATE schedules SET state = :state, due = :due WHERE id = :id AND state = :before RETURNING id;

-- move_schedule: Have the next run start at another time, unless somebody did so meanwhile.
UPDATE schedules SET due = :next WHERE id = :id AND due = :due AND state = 'active' RETURNING id;

-- claim_schedule: Take a due time; of several who try one does.
UPDATE schedules
SET due = :next, lives = CASE WHEN lives > 0 THEN lives - 1 ELSE lives END,
    state = CASE WHEN lives = 1 THEN 'expired' ELSE state END
WHERE id = :id AND due = :due AND state = 'active'
      AND NOT EXISTS (SELECT 1 FROM schedule_runs r WHERE r.schedule = :id AND r.due = :due)
RETURNING id;

-- add_schedule_run: Note the run that a due time started.
INSERT INTO schedule_runs (schedule, due, run) VALUES (:id, :due, :run);

-- note_latest_run: Note the latest run of a schedule.
UPDATE schedules SET latest = :run WHERE id = :id;

-- delete_schedule: Remove a schedule.
DELETE FROM schedules WHERE id = :id RETURNING id;

-- unfinished_schedule_runs: The runs that schedules started and that have not ended, oldest first.
SELECT r.id FROM runs r JOIN schedule_runs s ON s.run = r.id WHERE r.state NOT IN {ends} ORDER BY r.created, r.id;

-- pipeline_runs: The newest runs of pipelines that people or schedules started.
SELECT id FROM runs WHERE target = :target AND parent = '' ORDER BY created DESC, id DESC LIMIT :limit;
