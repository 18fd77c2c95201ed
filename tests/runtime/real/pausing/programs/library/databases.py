import sqlite3

connection = sqlite3.connect(":memory:")
connection.create_function("twice", 1, lambda x: x * 2)
connection.execute("create table t (id integer primary key, n integer)")
connection.executemany("insert into t (n) values (?)", ((i * 7 % 13,) for i in range(40)))
rows = connection.execute("select n, count(*), twice(n) from t group by n order by n").fetchall()
[rows, connection.execute("select sum(n) from t").fetchone()]
