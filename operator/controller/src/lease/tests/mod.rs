mod contest;
mod decision;
