DROP TABLE device_contact, device_state, mutation;
DO $$
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['programme', 'action_line', 'target', 'user', 'scope_grant', 'code', 'form',
        'question', 'enterprise', 'site', 'position', 'employment', 'visit', 'monthly_job_status',
        'checklist_answer', 'finding', 'follow_up_action', 'attendee', 'participation', 'conflict', 'held_item'] LOOP
        EXECUTE format('DROP FUNCTION %I() CASCADE', 'sync_insert_' || entity);
        EXECUTE format('DROP FUNCTION %I() CASCADE', 'sync_update_' || entity);
        EXECUTE format('DROP FUNCTION %I() CASCADE', 'sync_delete_' || entity);
    END LOOP;
END $$;
DROP FUNCTION sync_refuse_truncate() CASCADE;
DROP FUNCTION sync_refuse_new_key() CASCADE;
DROP FUNCTION sync_begin();
DROP FUNCTION sync_seal_at_commit();
DROP FUNCTION sync_seal(uuid, uuid, uuid, bigint, bigint, boolean);
DROP TABLE change_log, seal_log, scope_exit, sync_head, programme_head;
