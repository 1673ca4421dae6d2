-- Who may sign in, on which phone, and with which tokens. Every instant is written by the server's own clock.

CREATE TABLE account (
    programme_id  uuid NOT NULL,
    user_id       uuid PRIMARY KEY,
    email         text NOT NULL CONSTRAINT account_email_key UNIQUE CHECK (email = lower(email)),
    -- Null for someone who signs in elsewhere.
    password_hash text,
    status        text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DISABLED')),
    created_at    timestamptz NOT NULL
);

-- Failed sign-ins by the SHA-256 of the e-mail, known here or not: a lock must not tell which addresses exist.
CREATE TABLE login_failure (
    email_hash     bytea PRIMARY KEY,
    failures       integer NOT NULL,
    last_failed_at timestamptz NOT NULL,
    locked_until   timestamptz
);
CREATE INDEX login_failure_age ON login_failure (last_failed_at);

CREATE TABLE device (
    programme_id uuid NOT NULL,
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES account,
    name         text NOT NULL,
    model        text NOT NULL,
    app_version  text NOT NULL,
    status       text NOT NULL DEFAULT 'ACTIVE'
                 CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'WIPE_REQUESTED', 'WIPED')),
    enrolled_at  timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
CREATE INDEX device_of_user ON device (programme_id, user_id);

CREATE TABLE session (
    programme_id  uuid NOT NULL,
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES account,
    device_id     uuid REFERENCES device,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    -- Derives each refresh token from the one before it.
    rotation_key  bytea NOT NULL,
    revoked_at    timestamptz,
    revoke_reason text CHECK (revoke_reason IN
                  ('LOGOUT', 'REUSE_DETECTED', 'DEVICE_MISMATCH', 'DEVICE_REVOKED', 'REENROLLED', 'ACCOUNT_DISABLED')),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);
CREATE INDEX session_of_user ON session (user_id) WHERE revoked_at IS NULL;
CREATE INDEX session_of_device ON session (device_id) WHERE revoked_at IS NULL;
CREATE INDEX session_age ON session (expires_at);

-- The successor of a token is the token of the next generation of its session.
CREATE TABLE refresh_token (
    hash       bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    generation integer NOT NULL,
    issued_at  timestamptz NOT NULL,
    used_at    timestamptz,
    UNIQUE (session_id, generation)
);

CREATE TABLE access_token (
    hash       bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX access_token_of_session ON access_token (session_id, expires_at);
