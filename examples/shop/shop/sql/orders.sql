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

-- name: place_many
-- As place, for several orders. Those of one product are served in turn, while there are enough for all up to there;
-- what gets no row is to be asked for alone. Products are locked in one order, as users are renamed.
WITH wanted AS (
    SELECT * FROM unnest(%(user_ids)s::bigint[], %(product_ids)s::bigint[], %(quantities)s::bigint[])
    WITH ORDINALITY AS given (user_id, product_id, quantity, turn)
), locked AS (
    SELECT id, price_cents, stock FROM products WHERE id = ANY(%(product_ids)s) ORDER BY id FOR NO KEY UPDATE
), counted AS (
    SELECT wanted.*, price_cents, stock, sum(quantity) OVER (PARTITION BY product_id ORDER BY turn) AS taken
    FROM wanted JOIN locked ON locked.id = product_id WHERE EXISTS (SELECT FROM users WHERE users.id = user_id)
), served AS (
    SELECT * FROM counted WHERE taken <= stock
), less AS (
    UPDATE products SET stock = products.stock - sold.quantity
    FROM (SELECT product_id, sum(quantity) AS quantity FROM served GROUP BY product_id) AS sold
    WHERE products.id = sold.product_id
)
INSERT INTO orders (user_id, product_id, quantity, total_cents, status, created_at)
SELECT user_id, product_id, quantity, price_cents * quantity, 'placed', now() FROM served ORDER BY turn
RETURNING id, user_id, product_id, quantity, total_cents, status, created_at
