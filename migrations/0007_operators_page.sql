-- What the operators' page shows and remembers.

-- What happened in each minute, counted by all processes together, for the charts of the last hours.
-- One row is updated in place some times and then only read: room for that is left in its page.
CREATE TABLE activity (
    minute timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    gateway text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL DEFAULT '',
    count bigint NOT NULL,
    PRIMARY KEY (minute, kind, gateway, name, source),
    CONSTRAINT activity_kind_known CHECK (kind IN ('registered', 'decided', 'late')),
    CONSTRAINT activity_count_range CHECK (count >= 1)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.1
);

-- Who asked for what on the operators' routes and pages; what came of it stands in the timelines.
CREATE TABLE operator_journal (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    why text
);

CREATE TRIGGER operator_journal_only_grows BEFORE UPDATE OR DELETE ON operator_journal
    FOR EACH ROW EXECUTE FUNCTION refuse('the journal only grows');
