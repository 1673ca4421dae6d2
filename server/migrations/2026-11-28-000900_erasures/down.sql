DROP TRIGGER refuse_erased ON "employment";
DROP TRIGGER refuse_erased ON "participation";
DROP TRIGGER refuse_erased ON "attendee";
DROP FUNCTION refuse_erased();
DROP TABLE "erasure";
DROP FUNCTION sync_insert_erasure();
DROP FUNCTION sync_update_erasure();
DROP FUNCTION sync_delete_erasure();
