"use strict";

const money = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });

export async function listing(category, limit = 20) {
  const query = new URLSearchParams({ category, limit });
  const answer = await fetch(`/products?${query}`);
  if (!answer.ok) throw new Error(`${answer.status} from /products`);
  return answer.json();
}

export function show(list, products) {
  list.replaceChildren(
    ...products.map(({ name, price_cents }) => {
      const item = document.createElement("li");
      const price = document.createElement("span");
      price.className = "price";
      price.textContent = money.format(price_cents / 100);
      item.append(name, " ", price);
      return item;
    }),
  );
}
