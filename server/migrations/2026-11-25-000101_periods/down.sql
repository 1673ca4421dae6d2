DROP INDEX mutation_released;
ALTER TABLE "held_item"
    DROP COLUMN enterprise_id, DROP COLUMN operation, DROP COLUMN content, DROP COLUMN captured_at,
    DROP COLUMN corrected_at, DROP COLUMN clock_offset_s, DROP COLUMN decided_by, DROP COLUMN decision_note,
    DROP COLUMN correction, DROP COLUMN answer;
DROP INDEX held_item_state;
DROP TABLE "late_adjustment";
DROP TABLE "reporting_period";
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['late_adjustment', 'reporting_period'] LOOP
        EXECUTE format('DROP FUNCTION sync_insert_%1$s(); DROP FUNCTION sync_update_%1$s(); DROP FUNCTION sync_delete_%1$s()', name);
    END LOOP;
END $$;
-- A later migration makes it anew and drops it.
DROP FUNCTION IF EXISTS sync_track(integer, text, text);
