DROP TABLE "merge_proposal";
DROP FUNCTION sync_insert_merge_proposal();
DROP FUNCTION sync_update_merge_proposal();
DROP FUNCTION sync_delete_merge_proposal();
