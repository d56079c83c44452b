"""Plans a deployment and says what it would do to the database, its data and its alarms, before anybody agrees."""
