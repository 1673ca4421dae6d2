//! Every layer says the same: the field tables are the truth, and each failure says what to write where.

use std::collections::BTreeSet;

use server::domain::policy::is_protected;
use server::store::Sql;
use sync_protocol::entity::EntityKind;
use sync_protocol::field::{Field, ScopeRule};
use sync_protocol::text::{FOLD_FROM, fold};
use sync_protocol::value::FieldType;
use tests::TestDb;
use tests::state::{psql, texts};

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/migrations");

/// Panics with one line for each problem.
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn column_type(field: &Field) -> &'static str {
    match field.field_type {
        FieldType::Bool => "boolean",
        FieldType::Int => "integer",
        FieldType::Decimal => "numeric",
        FieldType::Text | FieldType::Code => "text",
        FieldType::Json => "jsonb",
        FieldType::Uuid => "uuid",
        FieldType::Date => "date",
        FieldType::Timestamp => "timestamp with time zone",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_postgres_are_the_fields() {
    let db = TestDb::new().await;
    let found = texts(
        &db.db(),
        "SELECT table_name || '.' || column_name || ' ' || data_type || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END \
         FROM information_schema.columns WHERE table_schema = 'public'",
    )
    .await;
    let found: BTreeSet<String> = found.into_iter().collect();
    let mut problems = Vec::new();
    for def in EntityKind::ALL.iter().map(|kind| kind.def()) {
        let keys = ["programme_id", "id"].map(|key| format!("{}.{key} uuid NOT NULL", def.name));
        let columns = def.fields.iter().map(|field| {
            let null = if field.nullable { "" } else { " NOT NULL" };
            format!("{}.{} {}{null}", def.name, field.name, column_type(field))
        });
        let expected: BTreeSet<String> = keys.into_iter().chain(columns).collect();
        let table = format!("{}.", def.name);
        let of_table = found.iter().filter(|column| column.starts_with(&table)).cloned().collect();
        problems
            .extend(expected.difference(&of_table).map(|c| format!("Postgres lacks `{c}`: add it in a new migration")));
        problems.extend(of_table.difference(&expected).map(|c| {
            format!(
                "Postgres has `{c}`, the field table of `{}` has not: add the field or drop the column",
                def.type_name
            )
        }));
    }
    assert_none(problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entity_has_its_triggers_with_its_number_and_its_scope() {
    let db = TestDb::new().await;
    let db = db.db();
    let triggers: BTreeSet<String> =
        texts(&db, "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal")
            .await
            .into_iter()
            .collect();
    let sources = texts(&db, "SELECT proname || ' ' || prosrc FROM pg_proc WHERE proname LIKE 'sync\\_%'").await;
    let mut problems = Vec::new();
    for def in EntityKind::ALL.iter().map(|kind| kind.def()) {
        let quoted = if def.name == "user" { "\"user\"" } else { def.name };
        for trigger in ["sync_insert", "sync_update", "sync_delete", "sync_truncate", "sync_key"] {
            if !triggers.contains(&format!("{quoted} {trigger}"))
                && !triggers.contains(&format!("\"{}\" {trigger}", def.name))
            {
                problems
                    .push(format!("`{}` lacks the trigger `{trigger}`: call `sync_track` in its migration", def.name));
            }
        }
        let scope = match def.scope {
            ScopeRule::Programme => "r.programme_id".to_owned(),
            ScopeRule::Own => "r.id".to_owned(),
            ScopeRule::Enterprise(field) | ScopeRule::Actor(field) | ScopeRule::Scope(field) => format!("r.{field}"),
            ScopeRule::Office => "'00000000-0000-0000-0000-000000000000'::uuid".to_owned(),
        };
        let wanted = format!("SELECT r.programme_id, {}, {scope},", def.kind.number());
        for operation in ["insert", "update", "delete"] {
            let name = format!("sync_{operation}_{} ", def.name);
            let source = sources.iter().find(|source| source.starts_with(&name));
            if !source.is_some_and(|source| source.contains(&wanted)) {
                problems.push(format!(
                    "the function `{}` does not say `{wanted}`: correct the sync migration",
                    name.trim()
                ));
            }
        }
    }
    assert_none(problems);
}

/// Returns the lines of a block of the schema, without descriptions.
fn block(sdl: &str, head: &str) -> Option<BTreeSet<String>> {
    let (_, after) = sdl.split_once(&format!("\n{head} "))?;
    let (_, body) = after.split_once('{')?;
    let (body, _) = body.split_once("\n}")?;
    let mut in_text = false;
    let lines = body.lines().map(str::trim).filter(|line| {
        let was_in_text = in_text;
        in_text ^= line.matches("\"\"\"").count() % 2 == 1;
        !was_in_text && !line.starts_with("\"\"\"") && !line.is_empty()
    });
    Some(lines.map(str::to_owned).collect())
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + &part[..1].to_uppercase() + &part[1..])
}

/// Returns the name of a column in GraphQL: a reference is an identifier beside the object of the bare name.
fn column_name(field: &Field) -> String {
    let base = field.name.strip_suffix("_id").unwrap_or(field.name);
    if field.reference.is_some() { camel(&format!("{base}_id")) } else { camel(field.name) }
}

fn graphql_type(field: &Field) -> &str {
    match field.field_type {
        FieldType::Bool => "Boolean",
        FieldType::Int => "Int",
        FieldType::Decimal => "Decimal",
        FieldType::Text => "String",
        FieldType::Code => field.type_name,
        FieldType::Uuid => "ID",
        FieldType::Date => "Date",
        FieldType::Timestamp => "DateTime",
        FieldType::Json => match field.type_name {
            "I18n" => "I18nText",
            "Place" => "Place",
            _ => "JSON",
        },
    }
}

#[test]
fn the_schema_of_graphql_has_every_field_and_code() {
    let sdl = server::graphql::sdl();
    let mut problems = Vec::new();
    for def in EntityKind::ALL.iter().map(|kind| kind.def()) {
        let Some(lines) = block(&sdl, &format!("type {}", def.type_name)) else {
            problems.push(format!("the schema lacks the type `{}`: add the entity to the catalog", def.type_name));
            continue;
        };
        for field in def.fields {
            let mark = if field.nullable || is_protected(def.kind, field) { "" } else { "!" };
            let line = format!("{}: {}{mark}", column_name(field), graphql_type(field));
            // Lists of texts and of identifiers are stored as JSON.
            let is_list = |of: &str| lines.contains(&line.replace("JSON", &format!("[{of}!]")));
            if !lines.contains(&line) && !is_list("String") && !is_list("ID") {
                problems.push(format!(
                    "the type `{}` lacks `{line}`: it should follow from the field table",
                    def.type_name
                ));
            }
            if let Some(target) = field.reference {
                let line = format!(
                    "{}: {}",
                    camel(field.name.strip_suffix("_id").unwrap_or(field.name)),
                    target.def().type_name
                );
                if !lines.iter().any(|found| found.starts_with(&line)) {
                    problems
                        .push(format!("the type `{}` lacks `{line}`, which `{}` points at", def.type_name, field.name));
                }
            }
            if field.field_type == FieldType::Code {
                let codes = field.codes.iter().map(|code| (*code).to_owned()).collect::<BTreeSet<_>>();
                let known = block(&sdl, &format!("enum {}", field.type_name)).unwrap_or_default();
                let missing = codes.iter().filter(|code| !known.contains(&enum_value(code)));
                problems.extend(missing.map(|code| format!("the enum `{}` lacks `{code}`", field.type_name)));
            }
        }
    }
    assert_none(problems);
}

/// A code that starts with a digit is no name in GraphQL.
fn enum_value(code: &str) -> String {
    if code.starts_with(|c: char| c.is_ascii_digit()) { format!("_{code}") } else { code.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_folds_alike_in_sql_and_in_rust() {
    let db = TestDb::new().await;
    let letters = "aăâbcdefghiîjklmnopqrsștțuvwxyzAĂÂBCDEFGHIÎJKLMNOPQRSȘTȚUVWXYZşţŞŢáéíóöőúüűÁÉÍÓÖŐÚÜŰ";
    let mut samples: Vec<String> =
        letters.chars().chain(FOLD_FROM.chars()).map(|letter| format!("x{letter}y")).collect();
    samples.extend(
        ["  Țepeș   Vodă ", "Brutăria\u{a0}„Bogodinț”", "s\u{326}i t\u{326}ara", "", " \t\n ", "Köröskörtvélyes 12-A"]
            .map(str::to_owned),
    );
    let sql = Sql::new("SELECT fold(s.text) FROM unnest($1::text[]) WITH ORDINALITY s(text, n) ORDER BY s.n");
    let records = db.db().conn().await.unwrap().query(sql.bind(samples.clone())).await.unwrap();
    let problems = samples.iter().zip(records).filter_map(|(sample, record)| {
        let (in_sql, in_rust) = (record.text(0).unwrap(), fold(sample));
        (in_sql != in_rust).then(|| {
            format!(
                "`{sample}` folds to `{in_sql}` in SQL and to `{in_rust}` in Rust: give both `fold` the same letters"
            )
        })
    });
    assert_none(problems.collect());
}

/// Everything that a schema consists of.
const SCHEMA: &str = "SELECT x FROM ( \
    SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS x \
        FROM information_schema.columns WHERE table_schema = 'public' \
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal \
    UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
    UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' \
    ) s WHERE x NOT LIKE '%\\_\\_diesel%' ORDER BY x";

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_can_be_taken_back_and_made_again() {
    let test = TestDb::new().await;
    let db = test.db();
    let mut folders: Vec<_> = std::fs::read_dir(MIGRATIONS).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let migrated = texts(&db, SCHEMA).await;
    assert!(migrated.len() > 300);
    for folder in folders.iter().rev() {
        psql(&db, &std::fs::read_to_string(folder.join("down.sql")).unwrap()).await;
    }
    let left: Vec<String> = texts(&db, SCHEMA).await.into_iter().filter(|x| !x.contains("diesel_")).collect();
    assert_none(left.into_iter().map(|x| format!("`{x}` is left after every down.sql: drop it there")).collect());
    for folder in &folders {
        psql(&db, &std::fs::read_to_string(folder.join("up.sql")).unwrap()).await;
    }
    assert_eq!(texts(&db, SCHEMA).await, migrated);
}
