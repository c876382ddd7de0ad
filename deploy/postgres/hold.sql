-- Run once, when the volume of PostgreSQL is empty: the hold has a database of its own beside that of the AppViews.
CREATE DATABASE hold;
