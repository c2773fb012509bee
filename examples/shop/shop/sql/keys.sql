-- name: users primary key
-- Added after COPY: building a key once is cheaper than keeping it row by row.
ALTER TABLE users ADD PRIMARY KEY (id)

-- name: posts primary key
-- As above.
ALTER TABLE posts ADD PRIMARY KEY (id)

-- name: products primary key
-- As above.
ALTER TABLE products ADD PRIMARY KEY (id)

-- name: orders primary key
-- As above.
ALTER TABLE orders ADD PRIMARY KEY (id)

-- name: posts of users
-- A key to another table makes no index on this side: the best-known way to a sequential scan.
ALTER TABLE posts ADD FOREIGN KEY (user_id) REFERENCES users (id)

-- name: orders of users
-- An order for nobody is refused by the database, not by a look-up that may be late.
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)

-- name: orders of products
-- As above.
ALTER TABLE orders ADD FOREIGN KEY (product_id) REFERENCES products (id)
