-- How texts are compared when people search: without case and without the diacritics of the languages of the
-- region, so that `targu` finds `Târgu`. Plain SQL, so that the planner can see through it.
CREATE FUNCTION fold(input text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT translate(lower(input), 'ăâîșşțţáàéèíìóòöőúùüű', 'aaissttaaeeiioooouuuu')
$$;
