DROP INDEX mutation_refused;
