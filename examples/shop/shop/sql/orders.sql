-- name: price
-- What a product costs now.
SELECT price_cents FROM products WHERE id = %(product_id)s

-- name: insert
-- Writes the order down.
INSERT INTO orders (user_id, product_id, quantity, total_cents, status, created_at)
VALUES (%(user_id)s, %(product_id)s, %(quantity)s, %(total_cents)s, 'placed', now())
RETURNING id, user_id, product_id, quantity, total_cents, status, created_at

-- name: take
-- Takes the goods from stock, when there are enough. Comes last: it locks a row that many orders want.
UPDATE products SET stock = stock - %(quantity)s WHERE id = %(product_id)s AND stock >= %(quantity)s

-- name: place
-- All three in one statement: no row when there are not enough left, or no such product.
WITH taken AS (
    UPDATE products SET stock = stock - %(quantity)s WHERE id = %(product_id)s AND stock >= %(quantity)s
    RETURNING id, price_cents
)
INSERT INTO orders (user_id, product_id, quantity, total_cents, status, created_at)
SELECT %(user_id)s, id, %(quantity)s, price_cents * %(quantity)s, 'placed', now() FROM taken
RETURNING id, user_id, product_id, quantity, total_cents, status, created_at

-- name: there
-- Which of the two an order names do not exist.
SELECT EXISTS (SELECT FROM products WHERE id = %(product_id)s) AS product,
       EXISTS (SELECT FROM users WHERE id = %(user_id)s) AS customer
