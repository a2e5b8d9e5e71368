-- add_token: Let somebody in.
INSERT INTO tokens (id, name, digest, scopes, created, expires)
VALUES (:id, :name, :digest, :scopes, CLOCK, CLOCK + :lifetime);

-- token: One token, and the time now.
SELECT id, name, scopes, created, expires, revoked, digest, CLOCK FROM tokens WHERE id = :id;

-- tokens: All tokens in order of their creation.
SELECT id, name, scopes, created, expires, revoked FROM tokens ORDER BY created, id;

-- revoke_tokens: Let nobody in by these tokens any more.
UPDATE tokens SET revoked = CLOCK WHERE id IN {ids} AND revoked IS NULL RETURNING id;

-- take_request: Note a request, or take the turn at one that was noted before; what was answered to it.
INSERT INTO requests (id, turn, answer, created) VALUES (:id, :turn, '', CLOCK)
ON CONFLICT (id) DO UPDATE SET turn = :turn RETURNING answer;

-- answer_request: Note what is answered to a request.
UPDATE requests SET answer = :answer WHERE id = :id;

-- drop_request: Forget a request if nobody took the turn at it meanwhile.
DELETE FROM requests WHERE id = :id AND turn = :turn RETURNING id;

-- forget_requests: Forget requests that nobody repeats any more.
DELETE FROM requests WHERE created < CLOCK - :age RETURNING id;
