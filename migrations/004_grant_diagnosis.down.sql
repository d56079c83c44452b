-- Revokes the doctor's rights and drops measure_sessions(), without which expected_rights() lists them no more.
-- pg_stat_statements stays: it may be older than 004, and other clients may read it.
-- squawk-ignore-file ban-drop-function

DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT privilege, object FROM expected_rights() WHERE role_name = 'scanner_doctor' AND is_granted
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM scanner_doctor', item.privilege, item.object);
    END LOOP;
END
$$;

DROP FUNCTION IF EXISTS measure_sessions();
