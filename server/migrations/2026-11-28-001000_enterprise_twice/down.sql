DROP TRIGGER refuse_twice_inserted ON "enterprise";
DROP TRIGGER refuse_twice_updated ON "enterprise";
DROP FUNCTION refuse_enterprise_twice();
DROP INDEX enterprise_fiscal_code;
DROP FUNCTION fiscal_code(text);
